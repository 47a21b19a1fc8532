from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("instances", "0015_missed_copies")]

    operations = [
        migrations.AddField(
            model_name="instance",
            name="warned_until",
            field=models.DateTimeField(blank=True, null=True),
        ),
    ]
