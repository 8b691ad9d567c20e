"""Looks of people: the colours and faces that all pages share."""

from __future__ import annotations

from typing import Any

__all__ = ["COLLEAGUES", "COLORS", "initials", "row", "with_initials"]

# White letters can be read on each of them, and each is seen on a white and on a dark page.
COLORS = ["#c82a7f", "#665bdc", "#0e7b73", "#ba4b0a", "#1e6ad5", "#2a7e31", "#8e4bd2", "#906545"]
# Members of the site who never come in.
NAMES = """
Aiko Amara Anders Ayse Bao Beatriz Bilal Chiara Dagny Dmitri Elif Emeka Esther Farah Fatou Gabriel Gita Hana Hugo Ines
Ismail Jana Joao Kamala Katalin Kwame Lars Leila Liam Malia Marek Mei Nadia Nils Noor Olga Oscar Paloma Priya Rafael
Rosa Samir Sofia Tariq Uma Viktor
"""
COLLEAGUES = NAMES.split()
AT_MOST = 5  # faces in a row: of the others it says how many


def initials(name: str) -> str:
    """The face of whoever has no picture."""
    return "".join(word[0] for word in name.split()[:2]).upper()


def with_initials(people: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**one, "initials": initials(str(one["name"]))} for one in people]


def row(people: list[dict[str, Any]]) -> dict[str, Any]:
    """A few of *people*, and how many more there are."""
    return {"count": len(people), "people": people[:AT_MOST], "more": max(0, len(people) - AT_MOST)}
