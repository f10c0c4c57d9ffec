"""Two sides → what differs: opened, compared in the database, pictures graded. Prints nothing."""

from runner.compare.comparison import Comparison
from runner.compare.opening import Asked, head_of
from runner.compare.pictures import GRADED

__all__ = ["GRADED", "Asked", "Comparison", "head_of"]
