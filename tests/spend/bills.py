"""Makes data exports as AWS writes them: the columns of CUR 2.0, as CSV.gz and Parquet, with all that a bill has."""

import csv
import gzip
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow
import pyarrow.parquet

# In AWS's order; the export has more columns still, all of which a reader must not mind.
COLUMNS = (
    "bill_bill_type",
    "bill_billing_entity",
    "bill_billing_period_start_date",
    "bill_payer_account_id",
    "identity_line_item_id",
    "identity_time_interval",
    "line_item_availability_zone",
    "line_item_currency_code",
    "line_item_legal_entity",
    "line_item_line_item_description",
    "line_item_line_item_type",
    "line_item_operation",
    "line_item_product_code",
    "line_item_resource_id",
    "line_item_unblended_cost",
    "line_item_unblended_rate",
    "line_item_usage_account_id",
    "line_item_usage_amount",
    "line_item_usage_end_date",
    "line_item_usage_start_date",
    "line_item_usage_type",
    "pricing_unit",
    "product",
    "resource_tags",
)


@dataclass(frozen=True)
class Line:
    start: datetime
    machine: str
    usage_type: str
    usd: str
    quantity: str = "1.0000000000"
    line_type: str = "Usage"
    description: str = "$0.526 per On Demand Linux g4dn.xlarge Instance Hour"

    def cells(self, number: int) -> dict[str, str]:
        end = self.start + timedelta(hours=1)
        tags = {"user_lamplighter_installation": "dl19", "user_name": self.machine} if self.machine else {}
        return {
            "bill_bill_type": "Refund" if self.line_type == "Refund" else "Anniversary",
            "bill_billing_entity": "AWS",
            "bill_billing_period_start_date": f"{self.start:%Y-%m-01}T00:00:00.000Z",
            "bill_payer_account_id": "123456789012",
            "identity_line_item_id": f"line{number:012}",
            "identity_time_interval": f"{_iso(self.start)}/{_iso(end)}",
            "line_item_availability_zone": "us-east-1a",
            "line_item_currency_code": "USD",
            "line_item_legal_entity": "Amazon Web Services, Inc.",
            "line_item_line_item_description": self.description,
            "line_item_line_item_type": self.line_type,
            "line_item_operation": "RunInstances",
            "line_item_product_code": "AmazonEC2",
            "line_item_resource_id": f"i-{self.machine}" if self.machine else "",
            "line_item_unblended_cost": self.usd,
            "line_item_unblended_rate": "",
            "line_item_usage_account_id": "123456789012",
            "line_item_usage_amount": self.quantity,
            "line_item_usage_end_date": _iso(end),
            "line_item_usage_start_date": _iso(self.start),
            "line_item_usage_type": self.usage_type,
            "pricing_unit": "Hrs",
            "product": json.dumps({"instance_type": "g4dn.xlarge", "region": "us-east-1"}),
            "resource_tags": json.dumps(tags),
        }


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def write_csv(path: Path, lines: Iterable[Line]) -> Path:
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "wt", newline="") as file:
        rows = csv.DictWriter(file, COLUMNS)
        rows.writeheader()
        rows.writerows(line.cells(n) for n, line in enumerate(lines))
    return path


_TYPES = {
    "line_item_unblended_cost": pyarrow.float64(),
    "line_item_usage_amount": pyarrow.float64(),
    "line_item_usage_start_date": pyarrow.timestamp("ms"),
    "line_item_usage_end_date": pyarrow.timestamp("ms"),
    "resource_tags": pyarrow.map_(pyarrow.string(), pyarrow.string()),
    "product": pyarrow.map_(pyarrow.string(), pyarrow.string()),
}


def write_parquet(path: Path, lines: Iterable[Line]) -> Path:
    cells = [line.cells(n) for n, line in enumerate(lines)]
    columns = {name: _column(name, [row[name] for row in cells]) for name in COLUMNS}
    pyarrow.parquet.write_table(pyarrow.table(columns), path, compression="snappy")
    return path


def _column(name: str, texts: list[str]) -> pyarrow.Array:
    wanted = _TYPES.get(name, pyarrow.string())
    if pyarrow.types.is_map(wanted):
        return pyarrow.array([list(json.loads(text).items()) for text in texts], wanted)
    if pyarrow.types.is_timestamp(wanted):
        moments = [datetime.fromisoformat(text).replace(tzinfo=None) for text in texts]
        return pyarrow.array(moments, wanted)
    return pyarrow.array([float(text) for text in texts] if wanted == pyarrow.float64() else texts, wanted)
