"""Names and colours of visitors, with the setting ``GUEST_NAMES``."""

from __future__ import annotations

from django.utils.crypto import salted_hmac

__all__ = ["guest_of"]

# White letters have a contrast of 5:1 on each, and each has 3:1 on white and on a nearly black page (WCAG 2, AA).
COLORS = {
    "Red": "#d12d28",
    "Orange": "#ba4b0a",
    "Brown": "#906545",
    "Olive": "#6f7210",
    "Green": "#2a7e31",
    "Teal": "#0e7b73",
    "Azure": "#0c779a",
    "Blue": "#1e6ad5",
    "Violet": "#665bdc",
    "Purple": "#8e4bd2",
    "Pink": "#c82a7f",
    "Slate": "#606f84",
}
IN_ONE_TEXT = """
    Alpaca Antelope Armadillo Badger Bear Beetle Bison Bumblebee Camel Caribou Chamois Cheetah Chipmunk Cockatoo Crane
    Cricket Curlew Dolphin Dormouse Dove Dragonfly Eagle Egret Elk Falcon Ferret Finch Firefly Flamingo Fox Frog Gazelle
    Gecko Giraffe Grouse Hamster Hare Hedgehog Heron Ibex Ibis Iguana Jackdaw Jaguar Kangaroo Kestrel Kingfisher Kiwi
    Koala Ladybird Lark Lemur Leopard Lion Llama Lynx Magpie Manatee Marmot Marten Meerkat Moose Moth Narwhal Newt
    Nightingale Ocelot Octopus Okapi Orca Osprey Otter Owl Panda Pangolin Parrot Peacock Pelican Penguin Plover Porpoise
    Puffin Quail Quokka Rabbit Raccoon Raven Robin Salamander Salmon Seahorse Seal Sparrow Squirrel Starfish Starling
    Stoat Stork Swallow Swan Swift Tapir Tern Thrush Tiger Tortoise Toucan Turtle Vole Wallaby Walrus Warbler Wolf Wombat
    Wren Yak Zebra
"""
ANIMALS = IN_ONE_TEXT.split()


def guest_of(user_id: str) -> tuple[str, str]:
    """Return the name and the colour of a visitor, always the same for one *user_id*.

    A hash keyed with ``SECRET_KEY`` decides, so the id cannot be told from a name. The names are not translated: two people
    who speak of somebody must read the same one.
    """
    number = int.from_bytes(salted_hmac("djust_presence.guest", user_id, algorithm="sha256").digest())
    number, color = divmod(number, len(COLORS))
    name = list(COLORS)[color]
    return f"{name} {ANIMALS[number % len(ANIMALS)]}", COLORS[name]
