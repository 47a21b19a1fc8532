"""What the simulated CloudWatch has measured: figures that a test or the demo sets, asked for over the wire."""

from datetime import UTC, datetime, timedelta
from typing import Any

from moto.cloudwatch.exceptions import ValidationError
from moto.cloudwatch.models import cloudwatch_backends

from cloud.sim.base_server import ACCOUNT

MOST_QUERIES = 500
_METRICS = {
    "cpu_percent": ("Lamplighter/EC2", "CPUUtilization"),
    "net_rx_bytes": ("Lamplighter/EC2", "NetworkIn"),
    "gpu_percent": ("CWAgent", "nvidia_smi_utilization_gpu"),
}
# Who puts metrics may not use AWS's own namespace; only who asks says it.
_OWN, _AWS = "Lamplighter/EC2", "AWS/EC2"


class SimulatedLoads:
    def __init__(self, region: str) -> None:
        self._backend = cloudwatch_backends[ACCOUNT][region]
        self._ask = self._backend.get_metric_data
        self._backend.get_metric_data = self._strict  # type: ignore[method-assign]

    def know(self, told: dict[str, Any]) -> dict[str, Any]:
        """`{"cloud_id", "cpu_percent"?, "net_rx_bytes"?, "gpu_percent"?, "minutes_ago"?}`"""
        # The base server reckons in UTC without saying so.
        at = (datetime.now(UTC) - timedelta(minutes=told.get("minutes_ago", 2))).replace(tzinfo=None)
        for name, (namespace, metric) in _METRICS.items():
            if name in told:
                dimensions = [{"Name": "InstanceId", "Value": told["cloud_id"]}]
                value = {"MetricName": metric, "Value": told[name], "Dimensions": dimensions, "Timestamp": at}
                self._backend.put_metric_data(namespace, [value])
        return told

    def _strict(self, queries: list[dict[str, Any]], *more: Any, **named: Any) -> Any:
        """As AWS refuses it; the base server takes any number."""
        if len(queries) > MOST_QUERIES:
            raise ValidationError(f"The collection MetricDataQueries must not have a size greater than {MOST_QUERIES}.")
        for query in queries:
            metric = query.get("MetricStat", {}).get("Metric", {})
            if metric.get("Namespace") == _AWS:
                metric["Namespace"] = _OWN
        return self._ask(queries, *more, **named)
