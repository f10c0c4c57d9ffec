"""animerun: a YAML spec becomes verified pictures and a record of how each one was made.

The flow, one module a stage: spec → expand → render → schedule → submit → collect → record.
"""

__version__ = "0.1.0"
