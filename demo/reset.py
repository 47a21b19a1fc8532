"""`make demo-reset`: forgets the demo's data, so that the next `make run` starts afresh. Refuses while it runs."""

import shutil
import sys
from contextlib import closing

from demo import lock
from demo.places import Places

# By name, never the folder as a whole: LAMPLIGHTER_VAR may point at a folder that holds other things as well.
_OURS = ("cloud", "university", "queue", "mail", "log", "staticfiles")
_OUR_FILES = ("lamplighter.sqlite3*", "launcher.lock")


def main() -> int:
    try:
        places = Places.from_environment()
        held = lock.take(places.folder)
    except ValueError as error:
        print(f"Cannot reset: {error}")
        return 1
    except lock.AlreadyRunning as error:
        print(f"The demo runs (process {error}). Stop it with Ctrl-C there, then reset.")
        return 1
    with closing(held):
        for name in _OURS:
            shutil.rmtree(places.folder / name, ignore_errors=True)
        for pattern in _OUR_FILES:
            for path in places.folder.glob(pattern):
                path.unlink()
    print(f"The demo's data in {places.folder} is gone. `make run` makes it anew.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
