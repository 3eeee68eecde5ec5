"""How gunicorn serves us (`sync-service web`).

HOST and PORT say where to listen; GUNICORN_CMD_ARGS="--workers 4" overrides what stands here.
"""

from __future__ import annotations

import os

_host, _port = os.environ.get("HOST", "") or "127.0.0.1", os.environ.get("PORT", "") or "8000"
#: This machine only, unless HOST says otherwise: a proxy stands in front (deploy/nginx.conf).
bind = f"[{_host}]:{_port}" if ":" in _host else f"{_host}:{_port}"

worker_class = "sync_service.web.connections.CollectingWorker"
workers = 2
#: `create_wsgi` sizes the connection pool and the seats of waiting callers by this.
threads = 8
#: Engines must not cross a fork.
preload_app = False
#: A worker that shows no sign of life for so long is replaced, in seconds; requests have their own limits.
timeout = 60
#: A stop lets running requests end, in seconds: an API caller may wait WAIT_LIMIT_SECONDS.
graceful_timeout = 30
#: How long a connection may be silent between two requests, in seconds.
keepalive = 15
#: Connections of one worker; above that the oldest that wait are closed for new ones. Below the 1,024 open files that
#: most systems grant a process.
worker_connections = 400
#: Answers go through memory (see connections.py).
sendfile = False
#: Two services of one user would share its path, and home directories may be read-only.
control_socket_disable = True
#: Requests are logged by us, a line each, without bodies and without query strings.
accesslog = None
errorlog = "-"
loglevel = "warning"
