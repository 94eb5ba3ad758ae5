"""The price list: values with unit, source and date, from ``prices.toml`` or a file of the user's."""

import datetime
import tomllib
from collections.abc import Mapping
from pathlib import Path

import click
from pydantic import BaseModel, ConfigDict, Field, ValidationError

PRICES = Path(__file__).parent / "prices.toml"
#: AWS computes prices by the month with so many hours: 8,760 / 12.
HOURS = 730
#: A hundred times as long as ours, so that a wrong file, such as a device, is not read to its end.
MAX_BYTES = 1_000_000


class Price(BaseModel):
    """One price.

    Attributes:
        per: how many of the unit cost ``usd``.
        free: how many of the unit an account gets in each month.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    what: str
    usd: float = Field(ge=0, allow_inf_nan=False)
    per: float = Field(gt=0, allow_inf_nan=False)
    unit: str
    free: float = Field(default=0, ge=0, allow_inf_nan=False)
    source: str
    read: datetime.date

    def of(self, quantity: float) -> float:
        """Return what so many of the unit cost in a month, in USD."""
        return quantity * self.usd / self.per


class PriceList(BaseModel):
    """The prices of one region, by name."""

    model_config = ConfigDict(frozen=True)

    region: str = Field(min_length=1)
    prices: Mapping[str, Price]

    def __getitem__(self, name: str) -> Price:
        return self.prices[name]


def quantity_text(quantity: float) -> str:
    """Return a quantity with as many digits as matter."""
    return f"{quantity:,.0f}" if quantity >= 100 else f"{quantity:,.2f}".rstrip("0").rstrip(".")


def unit_text(quantity: float, unit: str) -> str:
    """Return the unit as it stands after that quantity: ``hour`` after 1, else ``hours``."""
    return unit.removesuffix("s") if quantity_text(quantity) == "1" else unit


def load(path: Path = PRICES) -> PriceList:
    """Read a price list.

    Raises:
        click.ClickException: the file is no such list, or lacks a price that ``prices.toml`` has.
    """
    try:
        found = tomllib.loads(_text(path))
        listed = PriceList(region=found.pop("region", ""), prices=found)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise click.ClickException(f"{path}: {error}; fix: begin with a copy of {PRICES.name}") from None
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"] if part != "prices")
        raise click.ClickException(f"{path}: {name} is {first['input']!r}: {first['msg']}") from None
    missing = [] if path == PRICES else sorted(load().prices.keys() - listed.prices.keys())
    if missing:
        raise click.ClickException(f"{path} has no [{missing[0]}]; fix: copy it from {PRICES.name}")
    return listed


def _text(path: Path) -> str:
    """Return a file's text. Raises OSError, UnicodeDecodeError, click.ClickException."""
    with path.open("rb") as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise click.ClickException(f"{path} has more than {MAX_BYTES:,} bytes; fix: begin with a copy of {PRICES.name}")
    return content.decode()
