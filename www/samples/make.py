"""Makes the sample spectra: python make.py path/to/grid/spectra.npz

Each is a node of Specola's synthetic grid as LAMOST would have seen it: R 1800, a radial velocity, noise, a tilted flux
calibration, a few masked pixels, in the layout of LAMOST DR9 and later. Their true labels are in `index.json`.
"""

import gzip
import io
import json
import sys

import numpy as np
from astropy.io import fits

C_KMS = 299_792.458
STARS = [
    # file, title, wanted (teff, logg, feh, alpha_fe), rv km/s, S/N
    ("g-dwarf.fits.gz", "A star like the Sun", (5800, 4.4, 0.0, 0.0), -42.0, 60),
    ("halo-star.fits.gz", "A metal-poor star of the halo", (6000, 4.0, -1.6, 0.35), 218.0, 45),
    ("f-turnoff.fits.gz", "An F star at the turn-off", (6400, 4.0, -0.6, 0.2), 15.0, 25),
]


def air_to_vacuum(air):
    s2 = (1e4 / air) ** 2
    return air * (1 + 8.336624212083e-5 + 2.408926869968e-2 / (130.1065924522 - s2) + 1.599740894897e-4 / (38.92568793293 - s2))


def main(path):
    grid = np.load(path)
    labels = grid["labels"]
    rng = np.random.default_rng(1)
    index = []
    for file, title, wanted, rv, snr in STARS:
        off = (labels[:, :4] - wanted) / (150, 0.2, 0.15, 0.1)
        node = int(np.argmin((off**2).sum(axis=1)))
        lines = grid["normalised_flux_x10000"][node] / 1e4
        wave = air_to_vacuum(grid["wavelength_air_aa"])
        level = np.interp(grid["wavelength_air_aa"], grid["continuum_wavelength_aa"], grid["continuum"][node])
        flux = lines * level / level.mean()
        wave = wave * (1 + rv / C_KMS)

        seen = 10 ** (3.5682 + 1e-4 * np.arange(1900))
        seen = seen[(seen > wave[0] + 8) & (seen < wave[-1] - 8)]
        sigma = seen * np.sqrt(1 / 1800**2 - 1 / 5000**2) / 2.3548
        clean = np.empty_like(seen)
        for i, (w, s) in enumerate(zip(seen, sigma)):
            near = slice(np.searchsorted(wave, w - 4 * s), np.searchsorted(wave, w + 4 * s))
            weight = np.exp(-0.5 * ((wave[near] - w) / s) ** 2)
            clean[i] = np.sum(weight * flux[near]) / np.sum(weight)
        clean *= 400 * np.exp(0.3 * (seen - 4800) / 800)
        error = np.sqrt(clean * clean.mean()) / snr
        ivar = error**-2.0
        noisy = clean + error * rng.standard_normal(seen.size)
        bad = rng.integers(100, seen.size - 100, 6)
        ivar[bad], noisy[bad] = 0, 0

        n = seen.size
        columns = [
            fits.Column(name, f"{n}E", array=values[None].astype("f4"))
            for name, values in [("FLUX", noisy), ("IVAR", ivar), ("WAVELENGTH", seen)]
        ] + [fits.Column(name, f"{n}I", array=np.zeros((1, n), "i2")) for name in ("ANDMASK", "ORMASK")]
        primary = fits.PrimaryHDU()
        for key, value, comment in [
            ("OBSID", node, "node of the synthetic grid"),
            ("DATA_V", "SYNTHETIC", "made by Specola, no observation"),
            ("TELESCOP", "LAMOST", "layout and resolution"),
            ("VACUUM", True, "wavelengths in vacuum"),
            ("HELIO", True, "velocity still in it"),
            ("CLASS", "STAR", ""),
        ]:
            primary.header[key] = (value, comment)
        table = fits.BinTableHDU.from_columns(columns, name="COADD")
        buffer = gzip.compress(to_bytes(fits.HDUList([primary, table])), mtime=0)
        with open(file, "wb") as out:
            out.write(buffer)
        true = {k: round(float(v), 3) for k, v in zip(("teff", "logg", "feh", "alpha_fe"), labels[node])} | {"rv": rv}
        words = "Synthetic: node {} of Specola's own grid at R 1800, S/N {}. True: Teff {:.0f} K, log g {:.2f}, [Fe/H] {:+.2f}, [α/Fe] {:+.2f}, RV {:+.0f} km/s."
        provenance = words.format(node, snr, *labels[node][:4], rv).replace("-", "−").replace("  ", " ")
        index.append({"file": file, "title": title, "provenance": provenance, "truth": true})
    with open("index.json", "w", encoding="utf-8") as out:
        json.dump(index, out, indent=2, ensure_ascii=False)
        out.write("\n")


def to_bytes(hdus):
    buffer = io.BytesIO()
    hdus.writeto(buffer)
    return buffer.getvalue()


main(sys.argv[1])
