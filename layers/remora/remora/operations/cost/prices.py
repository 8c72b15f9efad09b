"""AWS's list prices in us-east-1, and what is free of them every month, each with the page that has it.

Nothing asks AWS for prices. These are those of November 2026 (`AS_OF`) as far as they are known here, and prices
change: what matters to you, look up on the page. Without taxes. Free allowances are those without an end; they are
for an account as a whole.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

AS_OF: Final = "November 2026"
REGION: Final = "us-east-1"


@dataclass(frozen=True, slots=True)
class Price:
    """The price of one thing.

    Attributes:
        amount: US dollars for one unit.
        unit: The unit.
        source: Page that has it.
        free: Units that are free every month.
    """

    amount: Decimal
    unit: str
    source: str
    free: Decimal = Decimal(0)


def _price(amount: str, unit: str, page: str, free: int = 0) -> Price:
    return Price(Decimal(amount), unit, f"https://aws.amazon.com/{page}/pricing/", Decimal(free))


INSTANCES: Final = {
    name: Price(Decimal(amount), "hour", "https://aws.amazon.com/ec2/pricing/on-demand/")
    for name, amount in {
        "t4g.nano": "0.0042",
        "t4g.micro": "0.0084",
        "t4g.small": "0.0168",
        "t4g.medium": "0.0336",
        "t4g.large": "0.0672",
        "t4g.xlarge": "0.1344",
        "m7g.medium": "0.0408",
        "m7g.large": "0.0816",
        "m7g.xlarge": "0.1632",
        "r7g.medium": "0.0536",
        "r7g.large": "0.1071",
        "r7g.xlarge": "0.2142",
    }.items()
}
"""Linux, on demand, by type of instance."""

VOLUME: Final = _price("0.08", "GB", "ebs")
SNAPSHOT: Final = _price("0.05", "GB", "ebs")
NAT_HOUR: Final = _price("0.045", "hour", "vpc")
PUBLIC_ADDRESS_HOUR: Final = _price("0.005", "hour", "vpc")
SECRET: Final = _price("0.40", "secret", "secrets-manager")
SECRET_CALL: Final = _price("0.000005", "call", "secrets-manager")
API_REQUEST: Final = _price("0.0000035", "request", "api-gateway")
EDGE_REQUEST: Final = _price("0.000001", "request", "cloudfront", 10_000_000)
EDGE_FUNCTION: Final = _price("0.0000001", "call", "cloudfront", 2_000_000)
EDGE_TRAFFIC: Final = _price("0.085", "GB", "cloudfront", 1024)
TRAFFIC: Final = Price(Decimal("0.09"), "GB", "https://aws.amazon.com/ec2/pricing/on-demand/", Decimal(100))
LAMBDA_REQUEST: Final = _price("0.0000002", "call", "lambda", 1_000_000)
LAMBDA_ARM: Final = _price("0.0000133334", "GB-second", "lambda", 400_000)
LAMBDA_X86: Final = _price("0.0000166667", "GB-second", "lambda", 400_000)
SNAPSTART_CACHE: Final = _price("0.0000015046", "GB-second", "lambda")
SNAPSTART_RESTORE: Final = _price("0.0001397998", "GB", "lambda")
LOGS: Final = _price("0.50", "GB", "cloudwatch", 5)
ALARM: Final = _price("0.10", "alarm", "cloudwatch", 10)
METRIC: Final = _price("0.30", "metric", "cloudwatch", 10)
TRACE: Final = _price("0.000005", "trace", "xray", 100_000)
OBJECT_STORAGE: Final = _price("0.023", "GB", "s3")
OBJECT_WRITE: Final = _price("0.000005", "request", "s3")
WEB_ACL: Final = _price("5.00", "web ACL", "waf")
WEB_ACL_RULE: Final = _price("1.00", "rule", "waf")
WEB_ACL_REQUEST: Final = _price("0.0000006", "request", "waf")
