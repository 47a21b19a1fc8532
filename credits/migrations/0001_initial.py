import django.db.models.deletion
import django.db.models.expressions
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('courses', '0001_initial'),
    ]

    operations = [
        migrations.CreateModel(
            name='CodesCheck',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('at', models.DateTimeField()),
                ('codes', models.PositiveIntegerField()),
                ('differences', models.JSONField(default=list)),
            ],
            options={
                'ordering': ('-at', '-pk'),
            },
        ),
        migrations.CreateModel(
            name='CodeBatch',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=120)),
                ('value_usd', models.DecimalField(decimal_places=2, max_digits=10)),
                ('promotion', models.CharField(blank=True, max_length=120)),
                ('purpose', models.CharField(choices=[('everyone', 'Everyone'), ('teams', 'Teams'), ('prize', 'Prize'), ('reserve', 'Reserve')], default='everyone', max_length=10)),
                ('rule', models.JSONField(blank=True, default=dict)),
                ('replace_at_once', models.BooleanField(default=True)),
                ('redeem_by', models.DateField(blank=True, null=True)),
                ('expires_on', models.DateField(blank=True, null=True)),
                ('opens_at', models.DateTimeField(blank=True, null=True)),
                ('closes_at', models.DateTimeField(blank=True, null=True)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('course', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='code_batches', to='courses.course')),
            ],
            options={
                'ordering': ('created_at',),
            },
        ),
        migrations.CreateModel(
            name='BatchEvent',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('verb', models.CharField(choices=[('opened', 'Opened'), ('closed', 'Closed'), ('scheduled', 'Opening scheduled'), ('rule', 'Rule changed'), ('facts', 'Described')], max_length=12)),
                ('why', models.CharField(blank=True, max_length=300)),
                ('facts', models.JSONField(default=dict)),
                ('at', models.DateTimeField()),
                ('who', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, to=settings.AUTH_USER_MODEL)),
                ('batch', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='events', to='credits.codebatch')),
            ],
            options={
                'ordering': ('at', 'pk'),
            },
        ),
        migrations.CreateModel(
            name='Contest',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=120)),
                ('places', models.PositiveSmallIntegerField()),
                ('created_at', models.DateTimeField()),
                ('course', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='contests', to='courses.course')),
                ('created_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, to=settings.AUTH_USER_MODEL)),
                ('pool', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='contests', to='credits.codebatch')),
            ],
            options={
                'ordering': ('created_at',),
                'constraints': [models.UniqueConstraint(fields=('course', 'name'), name='contest_name_once_per_course')],
            },
        ),
        migrations.CreateModel(
            name='CreditCode',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('ciphertext', models.TextField()),
                ('digest', models.CharField(max_length=64, unique=True)),
                ('last4', models.CharField(max_length=4)),
                ('status', models.CharField(choices=[('available', 'Available'), ('claimed', 'Claimed'), ('redeemed', 'Redeemed'), ('quarantined', 'Quarantined'), ('revoked', 'Revoked'), ('course', 'Course account')], default='available', max_length=12)),
                ('entitlement', models.CharField(blank=True, max_length=100)),
                ('claimed_at', models.DateTimeField(blank=True, null=True)),
                ('batch', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='codes', to='credits.codebatch')),
                ('holder', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='codes', to='courses.enrollment')),
                ('team', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='codes', to='courses.team')),
            ],
            options={
                'ordering': ('pk',),
                'indexes': [models.Index(models.F('batch'), django.db.models.expressions.CombinedExpression(models.F('id'), '+', models.Value(0)), condition=models.Q(('status', 'available')), name='free_codes')],
                'constraints': [models.UniqueConstraint(condition=models.Q(('status__in', ('claimed', 'redeemed'))), fields=('batch', 'holder', 'entitlement'), name='one_code_per_claimant'), models.UniqueConstraint(condition=models.Q(('status__in', ('claimed', 'redeemed'))), fields=('batch', 'team', 'entitlement'), name='one_code_per_team'), models.CheckConstraint(condition=models.Q(models.Q(('holder', None), ('status', 'available'), ('team', None)), models.Q(('status', 'available'), _negated=True), _connector='OR'), name='available_code_has_no_holder'), models.CheckConstraint(condition=models.Q(models.Q(('claimed_at__isnull', False), models.Q(('holder__isnull', False), ('team__isnull', False), _connector='OR')), models.Q(('status__in', ('claimed', 'redeemed')), _negated=True), _connector='OR'), name='claimed_code_has_a_holder'), models.CheckConstraint(condition=models.Q(('holder', None), ('team', None), _connector='OR'), name='a_person_or_a_team_holds_it')],
            },
        ),
        migrations.CreateModel(
            name='CourseRedemption',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('state', models.CharField(choices=[('asked', 'Asked for'), ('calling', 'With AWS'), ('unclear', 'Unclear'), ('confirmed', 'In the course account'), ('failed', 'Refused by AWS')], default='asked', max_length=10)),
                ('before', models.JSONField(default=list)),
                ('credit_id', models.CharField(blank=True, max_length=32, null=True, unique=True)),
                ('amount_usd', models.DecimalField(blank=True, decimal_places=2, max_digits=10, null=True)),
                ('ends_on', models.DateField(blank=True, null=True)),
                ('said', models.TextField(blank=True)),
                ('why', models.CharField(blank=True, max_length=300)),
                ('asked_at', models.DateTimeField()),
                ('called_at', models.DateTimeField(blank=True, null=True)),
                ('settled_at', models.DateTimeField(blank=True, null=True)),
                ('budgeted_at', models.DateTimeField(blank=True, null=True)),
                ('course', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='redemptions', to='courses.course')),
                ('who', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('code', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='redemptions', to='credits.creditcode')),
            ],
            options={
                'ordering': ('asked_at', 'pk'),
                'constraints': [models.UniqueConstraint(condition=models.Q(('state', 'calling')), fields=('state',), name='one_redemption_at_a_time'), models.UniqueConstraint(condition=models.Q(('state', 'failed'), _negated=True), fields=('code',), name='one_redemption_per_code_unless_it_failed')],
            },
        ),
        migrations.CreateModel(
            name='ContestPlace',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('rank', models.PositiveIntegerField()),
                ('name', models.CharField(max_length=200)),
                ('score', models.CharField(blank=True, max_length=40)),
                ('awarded_at', models.DateTimeField(blank=True, null=True)),
                ('awarded_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, to=settings.AUTH_USER_MODEL)),
                ('contest', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='ranking', to='credits.contest')),
                ('enrollment', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='contest_places', to='courses.enrollment')),
                ('team', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='contest_places', to='courses.team')),
                ('code', models.OneToOneField(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='prize_of', to='credits.creditcode')),
            ],
            options={
                'ordering': ('rank', 'pk'),
                'constraints': [models.UniqueConstraint(fields=('contest', 'name'), name='one_line_per_name'), models.CheckConstraint(condition=models.Q(('team', None), ('enrollment', None), _connector='OR'), name='a_person_or_a_team_is_behind_it')],
            },
        ),
        migrations.CreateModel(
            name='CodeWait',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('seq', models.PositiveIntegerField()),
                ('at', models.DateTimeField()),
                ('closed_at', models.DateTimeField(blank=True, null=True)),
                ('why', models.CharField(blank=True, max_length=40)),
                ('batch', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='waits', to='credits.codebatch')),
                ('enrollment', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='code_waits', to='courses.enrollment')),
                ('team', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='code_waits', to='courses.team')),
                ('code', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='credits.creditcode')),
            ],
            options={
                'ordering': ('batch', 'seq'),
                'indexes': [models.Index(condition=models.Q(('closed_at', None)), fields=['batch', 'seq'], name='open_places')],
                'constraints': [models.UniqueConstraint(fields=('batch', 'seq'), name='places_are_numbered'), models.UniqueConstraint(condition=models.Q(('closed_at', None), ('team', None)), fields=('batch', 'enrollment'), name='one_place_per_person'), models.UniqueConstraint(condition=models.Q(('closed_at', None)), fields=('batch', 'team'), name='one_place_per_team')],
            },
        ),
        migrations.CreateModel(
            name='CodeShare',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('entitlement', models.CharField(blank=True, max_length=100)),
                ('batch', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, to='credits.codebatch')),
                ('enrollment', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='code_shares', to='courses.enrollment')),
                ('code', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='shares', to='credits.creditcode')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('batch', 'entitlement', 'enrollment'), name='one_share_per_person')],
            },
        ),
        migrations.CreateModel(
            name='CodeEvent',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('verb', models.CharField(choices=[('imported', 'Imported'), ('claimed', 'Claimed'), ('awarded', 'Awarded'), ('returned', 'Returned to stock'), ('quarantined', 'Quarantined'), ('revoked', 'Revoked'), ('revealed', 'Shown'), ('redeemed', 'Reported redeemed'), ('failed', 'Reported failed'), ('taken', 'Taken for the course account'), ('credited', 'In the course account')], max_length=12)),
                ('why', models.CharField(blank=True, max_length=300)),
                ('address', models.GenericIPAddressField(blank=True, null=True)),
                ('at', models.DateTimeField()),
                ('who', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, to=settings.AUTH_USER_MODEL)),
                ('code', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='events', to='credits.creditcode')),
            ],
            options={
                'ordering': ('at', 'pk'),
            },
        ),
        migrations.CreateModel(
            name='CreditRequest',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('amount_usd', models.DecimalField(decimal_places=2, max_digits=10)),
                ('reason', models.TextField()),
                ('status', models.CharField(choices=[('asked', 'Waiting for an answer'), ('approved', 'Approved'), ('denied', 'Denied'), ('withdrawn', 'Withdrawn')], default='asked', max_length=10)),
                ('at', models.DateTimeField()),
                ('course', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='credit_requests', to='courses.course')),
                ('enrollment', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='credit_requests', to='courses.enrollment')),
                ('team', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='credit_requests', to='courses.team')),
            ],
            options={
                'ordering': ('at', 'pk'),
                'constraints': [models.CheckConstraint(condition=models.Q(('amount_usd__gt', 0)), name='something_is_asked_for'), models.UniqueConstraint(condition=models.Q(('status', 'asked'), ('team', None)), fields=('enrollment',), name='one_open_request_per_person'), models.UniqueConstraint(condition=models.Q(('status', 'asked')), fields=('team',), name='one_open_request_per_team')],
            },
        ),
        migrations.CreateModel(
            name='FailedReport',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('cause', models.SlugField(max_length=40)),
                ('message', models.TextField(blank=True)),
                ('status', models.CharField(choices=[('answered', 'Answered by the help'), ('replaced', 'Replaced'), ('open', 'With the staff'), ('closed', 'Closed')], max_length=10)),
                ('address', models.GenericIPAddressField(blank=True, null=True)),
                ('at', models.DateTimeField()),
                ('decision', models.CharField(blank=True, choices=[('replace', 'Replaced'), ('answer', 'Answered'), ('close', 'Closed')], max_length=10)),
                ('decided_at', models.DateTimeField(blank=True, null=True)),
                ('why', models.TextField(blank=True)),
                ('code', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='reports', to='credits.creditcode')),
                ('course', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='failed_reports', to='courses.course')),
                ('decided_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('enrollment', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='failed_reports', to='courses.enrollment')),
                ('replacement', models.OneToOneField(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='replaces', to='credits.creditcode')),
            ],
            options={
                'ordering': ('at', 'pk'),
                'indexes': [models.Index(fields=['course', 'cause'], name='credits_fai_course__142b04_idx'), models.Index(condition=models.Q(('status', 'open')), fields=['course', 'at'], name='open_reports')],
            },
        ),
        migrations.CreateModel(
            name='ImportDraft',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('codes', 'Codes'), ('roster', 'Roster'), ('teams', 'Teams')], default='codes', max_length=10)),
                ('sealed', models.TextField()),
                ('created_at', models.DateTimeField()),
                ('course', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='courses.course')),
                ('who', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('course', 'who', 'kind'), name='one_draft_per_person')],
            },
        ),
        migrations.CreateModel(
            name='Letter',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('key', models.CharField(max_length=100, unique=True)),
                ('to', models.EmailField(max_length=254)),
                ('subject', models.CharField(max_length=200)),
                ('body', models.TextField()),
                ('created_at', models.DateTimeField()),
                ('sent_at', models.DateTimeField(blank=True, null=True)),
                ('claimed_until', models.DateTimeField(blank=True, null=True)),
                ('attempts', models.PositiveIntegerField(default=0)),
            ],
            options={
                'ordering': ('pk',),
                'indexes': [models.Index(condition=models.Q(('sent_at', None)), fields=['id'], name='letters_due')],
            },
        ),
        migrations.CreateModel(
            name='RedemptionCause',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('key', models.SlugField(max_length=40)),
                ('title', models.CharField(max_length=200)),
                ('signals', models.TextField(blank=True)),
                ('answer', models.TextField()),
                ('next_step', models.TextField(blank=True)),
                ('outcome', models.CharField(choices=[('ask', 'The student can put it right'), ('replace', 'Put the code aside and replace it'), ('wait', 'It solves itself'), ('staff', 'Staff look at it')], max_length=10)),
                ('enabled', models.BooleanField(default=True)),
                ('changed_at', models.DateTimeField()),
                ('changed_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('course', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='redemption_causes', to='courses.course')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('course', 'key'), name='one_cause_per_course_and_key'), models.UniqueConstraint(condition=models.Q(('course', None)), fields=('key',), name='one_cause_per_key')],
            },
        ),
        migrations.CreateModel(
            name='RequestDecision',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('verb', models.CharField(choices=[('approved', 'Approved'), ('denied', 'Denied'), ('withdrawn', 'Withdrawn')], max_length=10)),
                ('amount_usd', models.DecimalField(decimal_places=2, default=0, max_digits=10)),
                ('serve', models.CharField(blank=True, choices=[('code', 'A code of the reserve'), ('budget', 'A larger budget')], max_length=10)),
                ('why', models.TextField(blank=True)),
                ('at', models.DateTimeField()),
                ('code', models.OneToOneField(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='credits.creditcode')),
                ('request', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, related_name='decision', to='credits.creditrequest')),
                ('who', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'constraints': [models.CheckConstraint(condition=models.Q(models.Q(('amount_usd__gt', 0), ('verb', 'approved'), models.Q(('serve', ''), _negated=True)), models.Q(('amount_usd', 0), ('code', None), ('serve', '')), _connector='OR'), name='only_approved_requests_are_served')],
            },
        ),
    ]
