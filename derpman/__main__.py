"""`python -m derpman` is `derpman`."""

from derpman.cli import main

main()
