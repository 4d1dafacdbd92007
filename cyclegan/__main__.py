"""``python -m cyclegan`` is ``styl``."""

from cyclegan.cli import main

if __name__ == "__main__":
    main()
