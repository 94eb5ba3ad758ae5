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

    def of(self, quantity: float, *, free_tier: bool = False) -> float:
        """Return what so many of the unit cost in a month, in USD."""
        return max(0, quantity - (self.free if free_tier else 0)) * self.usd / self.per


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
        found = tomllib.loads(path.read_text(encoding="utf-8"))
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
