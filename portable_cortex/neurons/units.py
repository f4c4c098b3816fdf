"""Units of NESTML: exact factors to ms, mV, pA, pF, nS and what these make (GOhm, kHz, fC ...)."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

# powers of ten of our units of time, potential and current; others (mol, m, K) are as in SI
TIME, POTENTIAL, CURRENT = -3, -3, -12


def factor(unit: Any) -> Fraction:
    """What a number in a unit is multiplied with.

    Parameters
    ----------
    unit : astropy unit

    Examples
    --------
    >>> from astropy import units
    >>> factor(units.nF), factor(units.Unit("GOhm")), factor(units.s)
    (Fraction(1000, 1), Fraction(1, 1), Fraction(1000, 1))
    """
    si = unit.si.decompose()
    exponents = {
        str(base): Fraction(power) for base, power in zip(si.bases, si.powers, strict=True)
    }
    volts = exponents.get("kg", Fraction(0))  # V = kg m2 / (s3 A)
    amperes = exponents.get("A", Fraction(0)) + volts
    seconds = exponents.get("s", Fraction(0)) + 3 * volts
    power = TIME * seconds + POTENTIAL * volts + CURRENT * amperes
    return _power_of_ten(si.scale) / Fraction(10) ** int(power)


def _power_of_ten(scale: float) -> Fraction:
    """Exactly, as which prefixes are meant; factors such as 60 (minutes) as they are."""
    exponent = round(math.log10(scale))
    exact = Fraction(10) ** exponent
    return exact if math.isclose(scale, float(exact), rel_tol=1e-9) else Fraction(scale)
