"""Machines that dial out: the key of each, where its notebook is reached then, and the endpoint's own key."""

from django.db import models


class MachineTunnel(models.Model):
    """One for each machine that dials out, made with its row. All but the last five columns are frozen: user data."""

    instance = models.OneToOneField("instances.Instance", models.CASCADE, related_name="tunnel")
    public_key = models.TextField()  # "ssh-ed25519 AAAA…"
    private_key = models.TextField()  # encrypted; needed again when a launch is repeated
    endpoint = models.CharField(max_length=260)  # host:port, as the machine sees it
    host_key = models.TextField()  # the endpoint's public key, so that nobody can be in the middle

    # Where the gateways reach the notebook. `connection` tells one dialling from the next of the same machine.
    connection = models.CharField(max_length=32, blank=True)
    inside = models.GenericIPAddressField(null=True, blank=True)
    port = models.PositiveIntegerField(null=True, blank=True)
    since = models.DateTimeField(null=True, blank=True)
    seen_at = models.DateTimeField(null=True, blank=True)  # the endpoint says now and then that it still stands

    class Meta:
        app_label = "instances"

    def __str__(self) -> str:
        return f"tunnel of {self.instance_id}"


class TunnelHost(models.Model):
    """The endpoint's own key, one for the installation: machines know it from their user data, for all their life."""

    name = models.CharField(max_length=20, primary_key=True, default="endpoint")
    public_key = models.TextField()
    private_key = models.TextField()  # encrypted

    class Meta:
        app_label = "instances"

    def __str__(self) -> str:
        return self.public_key
