"""How much a server takes on at a time: it refuses at once what it could not answer soon."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from headstart.server.refusals import Refusal

_MAX_BODIES = 1_000
"""So many bodies may arrive at a time."""


@dataclass
class Ticket:
    """What one request occupies.

    Attributes:
        images: The number of its images; 0 until its body has arrived.
        bytes: The size of what has been read of its body.
    """

    images: int = 0
    bytes: int = 0


class Admission:
    """Counts the requests and images that are in progress, on the event loop's thread.

    Args:
        max_images: Further requests are refused when so many images wait or are computed. A single
            request may exceed it, so that its size does not decide when it is answered.
        max_bytes: The memory for bodies of requests.
        show: Called with the number of images whenever it changes.
    """

    def __init__(
        self, max_images: int, max_bytes: int, show: Callable[[int], None] = lambda _: None
    ) -> None:
        self.images, self.bytes, self.requests = 0, 0, 0
        self._max_images, self._max_bytes, self._show = max_images, max_bytes, show
        self._seconds, self._seconds_per_image = 0.0, 0.0

    @property
    def is_full(self) -> bool:
        """Whether further requests are refused."""
        return self.images >= self._max_images or self.requests >= _MAX_BODIES

    @contextmanager
    def admitted(self) -> Iterator[Ticket]:
        """Admit a request for the time of a block.

        Raises:
            Refusal: There is too much to do.
        """
        if self.is_full:
            raise self.overloaded()
        ticket = Ticket()
        self.requests += 1
        try:
            yield ticket
        finally:
            self.requests -= 1
            self.bytes -= ticket.bytes
            self.images -= ticket.images
            self._show(self.images)

    def count_bytes(self, ticket: Ticket, count: int) -> None:
        """Count what was read of a body.

        Raises:
            Refusal: All bodies together have too many bytes.
        """
        if self.bytes + count > self._max_bytes:
            raise self.overloaded()
        ticket.bytes += count
        self.bytes += count

    def count_images(self, ticket: Ticket, count: int) -> None:
        """Count the images of a request, once its body has arrived.

        Raises:
            Refusal: Others were faster, and there is too much to do now.
        """
        if self.images - ticket.images >= self._max_images:
            raise self.overloaded()
        self.images += count - ticket.images
        ticket.images = count
        self._show(self.images)

    def learn(self, images: int, seconds: float) -> None:
        """Learn from a batch how long an image takes, on which Retry-After depends.

        Other threads may call this: an estimate may miss a batch.

        Args:
            images: The number of images that were answered; 0 if all wait for further tiles.
            seconds: The duration of the batch.
        """
        self._seconds += seconds
        if images:
            self._seconds_per_image += 0.1 * (self._seconds / images - self._seconds_per_image)
            self._seconds = 0.0

    def overloaded(self) -> Refusal:
        """Return the refusal of a request, with the time after which to try again."""
        wait = max(1, round(self.images * self._seconds_per_image))
        return Refusal(
            503,
            f"{self.images:,} images wait already. Try again in {wait} s.",
            {"Retry-After": str(wait)},
        )
