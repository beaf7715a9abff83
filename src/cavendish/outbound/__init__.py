"""Everything that Cavendish sends to addresses that callers chose, through one guarded client."""

from cavendish.outbound.client import Answer, Outbound
from cavendish.outbound.failures import DeliveryFailed, Failure
from cavendish.outbound.fetcher import ImageFetcher

__all__ = ["Answer", "DeliveryFailed", "Failure", "ImageFetcher", "Outbound"]
