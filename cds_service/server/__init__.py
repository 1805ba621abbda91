"""The service as processes: gunicorn with its settings, its worker, the process that serves the metrics."""
