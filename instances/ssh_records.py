"""SSH for those who ask: the keys that people have added, and which courses let them in by it."""

from django.db import models

from courses.models import Course, User


class CourseSsh(models.Model):
    """Whether a course's people may reach their own machines by SSH. Without a row: no."""

    course = models.OneToOneField(Course, models.CASCADE, related_name="ssh")
    on = models.BooleanField(default=False)
    who = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    at = models.DateTimeField()

    class Meta:
        app_label = "instances"

    def __str__(self) -> str:
        return f"SSH of {self.course}: {self.on}"


class SshKey(models.Model):
    """The public half of a key of one person. Only its holder can show the other half."""

    user = models.ForeignKey(User, models.CASCADE, related_name="ssh_keys")
    name = models.CharField(max_length=60, blank=True)  # what stood behind the key: "ada@laptop"
    public_key = models.TextField()  # "ssh-ed25519 AAAA…", nothing before and nothing behind it
    fingerprint = models.CharField(max_length=60)  # "SHA256:…", as ssh-keygen -l says it
    added_at = models.DateTimeField()
    last_used_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        app_label = "instances"
        ordering = ("pk",)
        constraints = (models.UniqueConstraint(fields=("user", "fingerprint"), name="ssh_key_once_per_person"),)

    def __str__(self) -> str:
        return self.fingerprint
