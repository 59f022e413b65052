"""Makes map.bin: the sampled basis functions of Gaia XP spectra, from the configuration of GaiaXPy (BSD-3, see LICENSE).

    pip install GaiaXPy==2.1.5
    python make_map.py                            # writes map.bin
    python make_map.py FILE… --compare SPECOLA    # compares the program SPECOLA with GaiaXPy's calibrate()
    python make_map.py --fixture                  # prints the numbers of the test in src/read/xp_continuous/map.rs

FILE is a table of XP continuous spectra with correlations. GaiaXPy gives each basis function at 336, 338 … 1020 nm as a
decimal number of six digits. A number takes three bytes, little-endian: bits 0–19 are its digits, bits 20–22 an exponent
e (value = digits × 10^(−28+e)), bit 23 is the sign. The numbers are in planes: all first bytes, all second, all third. In a
plane stand BP's 55 functions at 336–642 nm, then RP's at 636–1020 nm, function by function. Outside of these ranges
GaiaXPy's weight of a prism in the joint spectrum is 0.
"""

import json
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
from gaiaxpy import calibrate
from gaiaxpy.config.paths import filters_path
from gaiaxpy.core.config import load_xpmerge_from_xml, load_xpsampling_from_xml

N_BASES, MIN_EXPONENT = 55, -28
# Samples in which a prism has weight.
SAMPLES = {"bp": range(0, 154), "rp": range(150, 343)}


def packed(text):
    """The three bytes of one decimal number."""
    sign, digits, exponent = Decimal(text).as_tuple()
    digits = int("".join(map(str, digits)))
    exponent = exponent - MIN_EXPONENT if digits else 0
    assert 0 <= exponent < 8 and digits < 2**20, text
    return (sign << 23 | exponent << 20 | digits).to_bytes(3, "little")


def make_map(path):
    root = ElementTree.parse(Path(filters_path) / "XpFilter_v375wiv142r.xml").getroot()
    grid, weights = load_xpmerge_from_xml(bp_model="v375wi")
    assert np.array_equal(grid, np.arange(336, 1021, 2))
    # The weights that map.rs computes.
    bp = np.clip((643 - grid) / 8, 0, 1)
    assert np.array_equal(weights["bp"], bp) and np.array_equal(weights["rp"], 1 - bp)
    numbers = []
    for prism, samples in SAMPLES.items():
        assert np.array_equal(np.flatnonzero(weights[prism]), samples)
        texts = [e.text for e in root.find("XpSampling").find(prism + "SampledBases")]
        bases = np.array(texts).reshape(len(grid), N_BASES)[samples].T
        numbers += [packed(text) for text in bases.ravel()]
    path.write_bytes(b"".join(bytes(n[plane] for n in numbers) for plane in range(3)))


def compare(files, program):
    """Prints the largest differences of the program's spectra from GaiaXPy's, relative to GaiaXPy's flux and error."""
    for file in files:
        table = file
        if file.endswith(".csv"):
            table = pd.read_csv(file, float_precision="round_trip")
            for prism in SAMPLES:
                # Some tables lack it. It cancels, because errors of the coefficients have it already.
                table[f"{prism}_standard_deviation"] = table.get(f"{prism}_standard_deviation", 1.0)
        spectra, grid = calibrate(table, save_file=False)
        expected = {str(row.source_id): row for row in spectra.itertuples()}
        lines = subprocess.run([program, "inspect", "--samples", file], capture_output=True, text=True, check=True).stdout.splitlines()
        for line in map(json.loads, lines):
            row = expected.pop(line["id"])
            assert np.allclose(line["wave_vac_aa"], grid * 10)
            flux = np.max(np.abs(np.array(line["flux"]) / row.flux - 1))
            error = np.max(np.abs(np.array(line["sigma"]) / row.flux_error - 1))
            print(f"{line['id']}: flux {flux:.1e}, error {error:.1e}")
        print(f"{file}: {len(lines)} spectra, {len(expected)} missing")


def fixture():
    """Coefficients by a formula that the test repeats, and GaiaXPy's flux and error at five wavelengths."""
    k = np.arange(N_BASES)
    band = {"bp": (1.0e4, 0.7), "rp": (2.0e4, 0.4)}
    row = {"source_id": 5937083312263887616}
    for prism, (scale, phase) in band.items():
        row[f"{prism}_coefficients"] = scale * np.cos(phase * k) / (1 + k) ** 2
        row[f"{prism}_coefficient_errors"] = 5.0 + np.sin(k)
        i, j = np.tril_indices(N_BASES, -1)
        row[f"{prism}_coefficient_correlations"] = 0.3 * np.cos(i - 2 * j) * 0.5 ** (i - j)
        row[f"{prism}_n_parameters"] = N_BASES
        row[f"{prism}_standard_deviation"] = 1.25
    spectra, grid = calibrate(pd.DataFrame([row]), save_file=False)
    for sample in (0, 100, 151, 200, 342):
        print(f"({sample}, {spectra.flux[0][sample]!r}, {spectra.flux_error[0][sample]!r}),")


if __name__ == "__main__":
    if "--fixture" in sys.argv:
        fixture()
    elif "--compare" in sys.argv:
        at = sys.argv.index("--compare")
        compare(sys.argv[1:at], sys.argv[at + 1])
    else:
        make_map(Path(__file__).with_name("map.bin"))
