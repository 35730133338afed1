"""Sizes in words, in powers of 1000 as disks and downloads have them."""


def size_text(n_bytes: float) -> str:
    """`512 B`, `1.5 kB`, `18 MB`, `4.4 GB`."""
    value = float(n_bytes)
    for unit in ("B", "kB", "MB"):
        # what would be rounded to 1000 belongs to the next unit
        if value < 999.5:
            return f"{value:.1f} {unit}" if unit != "B" and value < 9.95 else f"{value:.0f} {unit}"
        value /= 1000
    return f"{value:,.1f} GB"
