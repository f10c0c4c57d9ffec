"""Templates are parsed, checked, compiled and rendered in a child process that can reach nothing.

The first wall stands in the child: an allow-list of syntax (`lint`), sizes (`bounds`, `budget`), values
without attributes (`environment`). Should a template get through it, it is in a process without environment
variables, files and network, whose time and memory the operating system counts (`child`). `client` is what
the rest of animerun calls; of the child it believes bytes of a bounded length, and nothing else.
"""
