"""What a provider offers: zones, plans, prices, images. Each only where a flag says so."""

from __future__ import annotations

from ..capabilities import Catalogue, Normalizing, PlanInfo
from ..provider import Provider
from .suite_ground import SuiteGround


class CatalogueTests(SuiteGround):
    def test_zones_are_named_once_each_and_accepted(self, provider: Provider) -> None:
        self.needs(provider, "zones")
        assert isinstance(provider, Catalogue)
        zones = provider.zones()
        assert zones and len(set(zones)) == len(zones) and all(zones)
        for zone in zones:
            self._accepts(provider, "zone", zone)

    def test_plans_are_named_once_each_and_accepted(self, provider: Provider) -> None:
        can = self.needs(provider, "plans")
        assert isinstance(provider, Catalogue)
        plans = provider.plans()
        assert plans and len({plan.name for plan in plans}) == len(plans)
        for plan in plans:
            assert plan.name and plan.cpus > 0 and plan.memory_gb > 0, plan
            self._accepts(provider, "plan", plan.name)
        for zone in provider.zones()[:2] if "zones" in can.flags else ():
            assert all(isinstance(plan, PlanInfo) for plan in provider.plans(zone))

    def test_plans_say_what_they_cost(self, provider: Provider) -> None:
        self.needs(provider, "plans", "prices")
        assert isinstance(provider, Catalogue)
        for plan in provider.plans():
            assert plan.price_hour is not None and plan.price_hour >= 0 and plan.currency, plan

    def test_images_are_named_once_each_and_accepted(self, provider: Provider) -> None:
        self.needs(provider, "images")
        assert isinstance(provider, Catalogue)
        images = provider.images()
        assert images and len(set(images)) == len(images) and all(images)
        for image in images:
            self._accepts(provider, "image", image)

    def _accepts(self, provider: Provider, name: str, value: str) -> None:
        """What is offered is accepted."""
        if isinstance(provider, Normalizing):
            sizes = ("cpus", "memory_gb", "plan") if name == "plan" else ()
            spec = {field: old for field, old in self.server_spec.items() if field not in sizes}
            provider.normalize("server", spec | {name: value})
