"""``python -m napari_gliocam`` is the command ``napari-gliocam``."""

from napari_gliocam.cli.main import main

if __name__ == "__main__":
    main()
