"""``python -m ethtune``, for launchers that start a module: ``torchrun -m ethtune train …``."""

from ethtune.cli.app import main

if __name__ == "__main__":
    main()
