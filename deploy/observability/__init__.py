"""What operators see: Grafana dashboards, made from `boards.py` by `make docs`, and Prometheus' alert rules."""
