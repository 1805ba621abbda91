"""For operators who start gunicorn themselves: `gunicorn --config deploy/gunicorn.conf.py`.

`b12-cds serve` does the same with the same settings, and tells the metrics besides: prefer it, and leave
CDS_METRICS_PORT out here. Keep CDS_WORKERS at the number of processes that really run.
"""

import os
from typing import Any

wsgi_app = "cds_service.app:create_app()"
bind = "127.0.0.1:8000"

workers = int(os.environ.get("CDS_WORKERS", "1"))
worker_class = "cds_service.server.worker.Worker"  # gunicorn's threads, with an end to the patience for slow clients
threads = 40  # more than calls are answered at once, and those more than wait for FHIR servers: one is left to say 503
worker_connections = 4000  # less where the process may not open so many files; the oldest that wait make room
timeout = 30  # a worker that does not turn up for so long is replaced: it is not the time for a call
graceful_timeout = 7  # for calls under way when it is stopped; the whole stop takes less than 10 seconds
keepalive = 5  # the proxy lets go of an idle connection before that
limit_request_line = 4094
limit_request_fields = 60
limit_request_field_size = 16_380  # a token with a long list of scopes
preload_app = True  # content is loaded once and shared; the store and its threads are made in each worker
forwarded_allow_ips = ""  # no header is believed about who calls, or by which address
proxy_allow_ips = ""
forwarder_headers = ""
accesslog = None  # the service's own log speaks of calls; an access log would keep addresses
errorlog = "-"
loglevel = "warning"
control_socket_disable = True  # no file outside of the folder for temporary files (TMPDIR: give it memory)


def post_worker_init(worker: Any) -> None:
    """A worker begins to answer: its store begins to write."""
    worker.app.wsgi().extensions["cds-begin"]()


def worker_exit(server: Any, worker: Any) -> None:
    """A worker has answered its last call: what waits to be written is written."""
    worker.app.wsgi().extensions["cds-end"]()
