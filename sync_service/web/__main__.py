"""`python -P -m sync_service.web`: gunicorn with our configuration, and nothing of the working directory."""

from __future__ import annotations

import os
import sys

from gunicorn.app.wsgiapp import WSGIApplication


class _Web(WSGIApplication):  # type: ignore[misc]  # gunicorn publishes no types
    def chdir(self) -> None:
        """gunicorn would also put the folder first in `sys.path`: a file there named like one of Python's would run."""
        os.chdir(self.cfg.chdir)


if __name__ == "__main__":
    sys.argv = ["gunicorn", "-c", "python:sync_service.web.gunicorn_conf", "sync_service.app:create_wsgi()"]
    _Web("%(prog)s").run()
