"""Everything that Cavendish sends to addresses that callers chose, through one guarded client."""

from cavendish.outbound.client import Answer, Outbound
from cavendish.outbound.failures import DeliveryFailed, Failure
from cavendish.outbound.fetcher import ImageFetcher
from cavendish.outbound.poster import CallbackPoster
from cavendish.outbound.resolver import SystemResolver

__all__ = ["Answer", "CallbackPoster", "DeliveryFailed", "Failure", "ImageFetcher", "Outbound", "SystemResolver"]
