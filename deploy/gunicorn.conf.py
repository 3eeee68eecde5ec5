"""gunicorn -c deploy/gunicorn.conf.py "sync_service.app:create_wsgi()": the package's own settings; add yours below."""

from sync_service.web.gunicorn_conf import *  # noqa: F403
