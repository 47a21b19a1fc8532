import django.db.models.deletion
import django.db.models.expressions
import django.db.models.functions.math
import django.db.models.lookups
import spend.alarms
import uuid
from decimal import Decimal
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('courses', '0001_initial'),
    ]

    operations = [
        migrations.CreateModel(
            name='AccountCredit',
            fields=[
                ('credit_id', models.CharField(max_length=80, primary_key=True, serialize=False)),
                ('name', models.CharField(blank=True, max_length=200)),
                ('amount_usd', models.DecimalField(decimal_places=6, max_digits=14)),
                ('left_usd', models.DecimalField(decimal_places=6, max_digits=14)),
                ('ends_on', models.DateField(blank=True, null=True)),
                ('as_of', models.DateTimeField()),
            ],
            options={
                'ordering': ('ends_on', 'credit_id'),
            },
        ),
        migrations.CreateModel(
            name='Alarm',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('threshold', 'Budget used'), ('forecast', 'Budget gone early'), ('pace', 'Spending faster than planned'), ('unusual', 'Far above the others'), ('idle', 'Money for idle machines'), ('disk', 'Forgotten disk'), ('credit', 'Credit expires')], max_length=10)),
                ('key', models.CharField(max_length=120)),
                ('gravity', models.PositiveSmallIntegerField(choices=[(1, 'Note'), (2, 'Warning'), (3, 'Grave')], default=2)),
                ('title', models.CharField(max_length=200)),
                ('text', models.CharField(max_length=600)),
                ('facts', models.JSONField(default=dict)),
                ('raised_at', models.DateTimeField()),
                ('cleared_at', models.DateTimeField(blank=True, null=True)),
                ('seen_at', models.DateTimeField(blank=True, null=True)),
                ('seen_note', models.CharField(blank=True, max_length=300)),
                ('about', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='alarms', to='courses.enrollment')),
                ('course', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='alarms', to='courses.course')),
                ('seen_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'ordering': ('-raised_at', '-pk'),
                'indexes': [models.Index(fields=['course', '-raised_at'], name='spend_alarm_course__5ba90e_idx')],
                'constraints': [models.UniqueConstraint(condition=models.Q(('cleared_at', None)), fields=('course', 'key'), name='one_open_alarm')],
            },
        ),
        migrations.CreateModel(
            name='AlertPolicy',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('percents', models.JSONField(default=spend.alarms._percents)),
                ('forecast_days', models.PositiveIntegerField(default=7)),
                ('pace_factor', models.DecimalField(decimal_places=2, default=Decimal('2'), max_digits=5)),
                ('median_factor', models.DecimalField(decimal_places=2, default=Decimal('5'), max_digits=5)),
                ('idle_usd', models.DecimalField(decimal_places=6, default=Decimal('5'), max_digits=14)),
                ('disk_days', models.PositiveIntegerField(default=14)),
                ('credit_days', models.PositiveIntegerField(default=21)),
                ('quiet_from', models.PositiveIntegerField(default=22)),
                ('quiet_to', models.PositiveIntegerField(default=7)),
                ('group_minutes', models.PositiveIntegerField(default=15)),
                ('tell_students', models.BooleanField(default=True)),
                ('course', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, related_name='alert_policy', to='courses.course')),
            ],
            options={
                'constraints': [models.CheckConstraint(condition=models.Q(('quiet_from__lt', 24), ('quiet_to__lt', 24)), name='quiet_hours_of_a_day')],
            },
        ),
        migrations.CreateModel(
            name='Budget',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('level', models.CharField(choices=[('1-sponsor', 'sponsor'), ('2-course', 'course'), ('3-team', 'team'), ('4-person', 'your own')], max_length=10)),
                ('name', models.CharField(max_length=200)),
                ('amount_usd', models.DecimalField(decimal_places=6, max_digits=14)),
                ('spent_usd', models.DecimalField(decimal_places=6, default=Decimal('0'), max_digits=14)),
                ('held_usd', models.DecimalField(decimal_places=6, default=Decimal('0'), max_digits=14)),
                ('overrun_usd', models.DecimalField(decimal_places=6, default=Decimal('0'), max_digits=14)),
                ('course', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='budgets', to='courses.course')),
                ('enrollment', models.OneToOneField(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='budget', to='courses.enrollment')),
                ('parent', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='children', to='spend.budget')),
                ('team', models.OneToOneField(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='budget', to='courses.team')),
            ],
            options={
                'ordering': ('level', 'name'),
                'constraints': [models.CheckConstraint(condition=django.db.models.lookups.LessThanOrEqual(django.db.models.functions.math.Round(django.db.models.expressions.CombinedExpression(django.db.models.expressions.CombinedExpression(django.db.models.expressions.CombinedExpression(models.F('spent_usd'), '+', models.F('held_usd')), '-', models.F('amount_usd')), '-', models.F('overrun_usd')), precision=6), Decimal('0')), name='budget_cap_holds'), models.CheckConstraint(condition=models.Q(models.Q(('course', None), ('level', '1-sponsor')), models.Q(('course__isnull', False), ('level', '2-course')), models.Q(('course__isnull', False), ('level', '3-team'), ('team__isnull', False)), models.Q(('course__isnull', False), ('enrollment__isnull', False), ('level', '4-person')), _connector='OR'), name='budget_belongs_to_its_level'), models.CheckConstraint(condition=models.Q(('amount_usd__gte', 0), ('spent_usd__gte', 0), ('held_usd__gte', 0), ('overrun_usd__gte', 0)), name='budget_amounts_not_negative'), models.UniqueConstraint(condition=models.Q(('level', '2-course')), fields=('course',), name='one_budget_per_course')],
            },
        ),
        migrations.CreateModel(
            name='BudgetDefaults',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('team_usd', models.DecimalField(decimal_places=6, max_digits=14)),
                ('person_usd', models.DecimalField(decimal_places=6, max_digits=14)),
                ('course', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, related_name='budget_defaults', to='courses.course')),
            ],
            options={
                'constraints': [models.CheckConstraint(condition=models.Q(('team_usd__gte', 0), ('person_usd__gte', 0)), name='budget_defaults_not_negative')],
            },
        ),
        migrations.CreateModel(
            name='BudgetRelease',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('amount_usd', models.DecimalField(decimal_places=6, max_digits=14)),
                ('release_at', models.DateTimeField()),
                ('why', models.CharField(max_length=300)),
                ('together', models.UUIDField(db_index=True, default=uuid.uuid4)),
                ('created_at', models.DateTimeField()),
                ('released_at', models.DateTimeField(blank=True, null=True)),
                ('cancelled_at', models.DateTimeField(blank=True, null=True)),
                ('budget', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='releases', to='spend.budget')),
                ('cancelled_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('who', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'ordering': ('release_at', 'pk'),
                'indexes': [models.Index(condition=models.Q(('cancelled_at', None), ('released_at', None)), fields=['release_at'], name='releases_to_come')],
                'constraints': [models.CheckConstraint(condition=models.Q(('amount_usd__gt', 0)), name='release_adds_something'), models.CheckConstraint(condition=models.Q(('released_at', None), ('cancelled_at', None), _connector='OR'), name='release_not_released_and_cancelled')],
            },
        ),
        migrations.CreateModel(
            name='Charge',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('key', models.CharField(max_length=120)),
                ('kind', models.CharField(choices=[('compute', 'Machines'), ('disk', 'Disks'), ('snapshot', 'Snapshots'), ('address', 'Addresses'), ('correction', 'Corrections')], max_length=10)),
                ('hour', models.DateTimeField()),
                ('group', models.CharField(blank=True, max_length=80)),
                ('seconds', models.PositiveIntegerField()),
                ('idle_seconds', models.PositiveIntegerField(default=0)),
                ('amount_usd', models.DecimalField(decimal_places=6, max_digits=14)),
                ('idle_usd', models.DecimalField(decimal_places=6, default=Decimal('0'), max_digits=14)),
                ('posted_at', models.DateTimeField()),
                ('budget', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='charges', to='spend.budget')),
                ('course', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='charges', to='courses.course')),
                ('enrollment', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='charges', to='courses.enrollment')),
                ('team', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='charges', to='courses.team')),
            ],
            options={
                'indexes': [models.Index(fields=['course', 'hour'], name='spend_charg_course__dbf44a_idx'), models.Index(fields=['enrollment', 'hour'], name='spend_charg_enrollm_afc12a_idx')],
                'constraints': [models.UniqueConstraint(fields=('key', 'kind', 'hour'), name='one_charge_per_resource_and_hour')],
            },
        ),
        migrations.CreateModel(
            name='ChatChannel',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=80)),
                ('service', models.CharField(max_length=40)),
                ('sealed_url', models.TextField()),
                ('least', models.PositiveSmallIntegerField(choices=[(1, 'Note'), (2, 'Warning'), (3, 'Grave')], default=1)),
                ('tells_machines', models.BooleanField(default=False)),
                ('events_after', models.BigIntegerField(default=0)),
                ('enabled', models.BooleanField(default=True)),
                ('created_at', models.DateTimeField()),
                ('ok_at', models.DateTimeField(blank=True, null=True)),
                ('problem', models.CharField(blank=True, max_length=300)),
                ('problem_at', models.DateTimeField(blank=True, null=True)),
                ('course', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='chat_channels', to='courses.course')),
            ],
            options={
                'ordering': ('name', 'pk'),
            },
        ),
        migrations.CreateModel(
            name='AlarmNote',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('due_at', models.DateTimeField()),
                ('put_at', models.DateTimeField(blank=True, null=True)),
                ('message', models.CharField(blank=True, max_length=120)),
                ('alarm', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='notes', to='spend.alarm')),
                ('to', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='courses.enrollment')),
                ('channel', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='spend.chatchannel')),
            ],
            options={
                'indexes': [models.Index(condition=models.Q(('put_at', None)), fields=['due_at'], name='notes_to_put')],
                'constraints': [models.UniqueConstraint(condition=models.Q(('to__isnull', False)), fields=('alarm', 'to'), name='one_note_per_person'), models.UniqueConstraint(condition=models.Q(('channel__isnull', False)), fields=('alarm', 'channel'), name='one_note_per_room'), models.CheckConstraint(condition=models.Q(models.Q(('channel', None), ('to__isnull', False)), models.Q(('channel__isnull', False), ('to', None)), _connector='OR'), name='note_to_person_or_room')],
            },
        ),
        migrations.CreateModel(
            name='ChatMessage',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('key', models.CharField(max_length=120, unique=True)),
                ('title', models.CharField(max_length=200)),
                ('body', models.TextField()),
                ('created_at', models.DateTimeField()),
                ('sent_at', models.DateTimeField(blank=True, null=True)),
                ('claimed_until', models.DateTimeField(blank=True, null=True)),
                ('attempts', models.PositiveIntegerField(default=0)),
                ('channel', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='messages', to='spend.chatchannel')),
            ],
            options={
                'ordering': ('pk',),
                'indexes': [models.Index(condition=models.Q(('sent_at', None)), fields=['id'], name='chat_messages_due')],
            },
        ),
        migrations.CreateModel(
            name='Correction',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('key', models.CharField(max_length=200, unique=True)),
                ('machine', models.CharField(blank=True, max_length=40)),
                ('kind', models.CharField(max_length=10)),
                ('day', models.DateField()),
                ('source', models.CharField(choices=[('explorer', 'Cost Explorer'), ('export', 'Data export (CUR)')], max_length=10)),
                ('cause', models.CharField(choices=[('price', 'Another price'), ('time', 'Another number of hours'), ('late', 'Not on the provider’s account yet'), ('untagged', 'Without a machine’s tag'), ('foreign', 'Tagged as a machine that this portal does not know'), ('other', 'Another service'), ('transfer', 'Data transfer'), ('none', 'None')], max_length=10)),
                ('amount_usd', models.DecimalField(decimal_places=6, max_digits=14)),
                ('why', models.CharField(max_length=300)),
                ('at', models.DateTimeField()),
                ('budget', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='corrections', to='spend.budget')),
                ('course', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='corrections', to='courses.course')),
                ('enrollment', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='corrections', to='courses.enrollment')),
                ('team', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='courses.team')),
                ('who', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'ordering': ('day', 'pk'),
                'indexes': [models.Index(fields=['course', 'day'], name='spend_corre_course__39f2f6_idx'), models.Index(fields=['day', 'machine'], name='spend_corre_day_0802ac_idx')],
                'constraints': [models.CheckConstraint(condition=models.Q(('amount_usd', 0), _negated=True), name='correction_is_something')],
            },
        ),
        migrations.CreateModel(
            name='CourseDay',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('compute', 'Machines'), ('disk', 'Disks'), ('snapshot', 'Snapshots'), ('address', 'Addresses'), ('correction', 'Corrections')], max_length=10)),
                ('seconds', models.PositiveBigIntegerField(default=0)),
                ('amount_usd', models.DecimalField(decimal_places=6, default=Decimal('0'), max_digits=14)),
                ('idle_seconds', models.PositiveBigIntegerField(default=0)),
                ('idle_usd', models.DecimalField(decimal_places=6, default=Decimal('0'), max_digits=14)),
                ('day', models.DateField()),
                ('group', models.CharField(blank=True, max_length=80)),
                ('course', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='spend_days', to='courses.course')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('course', 'day', 'kind', 'group'), name='one_sum_per_course_day_kind_group')],
            },
        ),
        migrations.CreateModel(
            name='DailySpend',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('compute', 'Machines'), ('disk', 'Disks'), ('snapshot', 'Snapshots'), ('address', 'Addresses'), ('correction', 'Corrections')], max_length=10)),
                ('seconds', models.PositiveBigIntegerField(default=0)),
                ('amount_usd', models.DecimalField(decimal_places=6, default=Decimal('0'), max_digits=14)),
                ('idle_seconds', models.PositiveBigIntegerField(default=0)),
                ('idle_usd', models.DecimalField(decimal_places=6, default=Decimal('0'), max_digits=14)),
                ('day', models.DateField()),
                ('course', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='daily_spend', to='courses.course')),
                ('enrollment', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='daily_spend', to='courses.enrollment')),
                ('team', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='courses.team')),
            ],
            options={
                'indexes': [models.Index(fields=['course', 'day'], name='spend_daily_course__4801d3_idx')],
                'constraints': [models.UniqueConstraint(fields=('enrollment', 'day', 'kind', 'team'), name='one_daily_sum_per_person_and_kind'), models.UniqueConstraint(condition=models.Q(('team', None)), fields=('enrollment', 'day', 'kind'), name='one_daily_sum_without_team')],
            },
        ),
        migrations.CreateModel(
            name='Drift',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('source', models.CharField(choices=[('explorer', 'Cost Explorer'), ('export', 'Data export (CUR)')], max_length=10)),
                ('day', models.DateField()),
                ('machine', models.CharField(blank=True, max_length=40)),
                ('kind', models.CharField(max_length=10)),
                ('ours_usd', models.DecimalField(decimal_places=6, default=Decimal('0'), max_digits=14)),
                ('corrected_usd', models.DecimalField(decimal_places=6, default=Decimal('0'), max_digits=14)),
                ('provider_usd', models.DecimalField(decimal_places=6, default=Decimal('0'), max_digits=14)),
                ('cause', models.CharField(choices=[('price', 'Another price'), ('time', 'Another number of hours'), ('late', 'Not on the provider’s account yet'), ('untagged', 'Without a machine’s tag'), ('foreign', 'Tagged as a machine that this portal does not know'), ('other', 'Another service'), ('transfer', 'Data transfer'), ('none', 'None')], max_length=10)),
                ('as_of', models.DateTimeField()),
                ('course', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='drifts', to='courses.course')),
                ('enrollment', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='courses.enrollment')),
            ],
            options={
                'indexes': [models.Index(fields=['course', 'day'], name='spend_drift_course__0308aa_idx')],
                'constraints': [models.UniqueConstraint(fields=('source', 'day', 'machine', 'kind'), name='one_drift_per_day')],
            },
        ),
        migrations.CreateModel(
            name='Hold',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('key', models.CharField(max_length=120, unique=True)),
                ('amount_usd', models.DecimalField(decimal_places=6, max_digits=14)),
                ('opened_at', models.DateTimeField()),
                ('closed_at', models.DateTimeField(blank=True, null=True)),
                ('budget', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='holds', to='spend.budget')),
            ],
            options={
                'indexes': [models.Index(condition=models.Q(('closed_at', None)), fields=['budget'], name='open_holds')],
                'constraints': [models.CheckConstraint(condition=models.Q(('amount_usd__gte', 0)), name='hold_not_negative')],
            },
        ),
        migrations.CreateModel(
            name='MoneyMove',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('grant', 'Budget changed'), ('hold', 'Held'), ('release', 'Released'), ('overrun', 'Charged beyond the hold'), ('carry', 'Spent before a move')], max_length=10)),
                ('key', models.CharField(blank=True, max_length=120)),
                ('amount_usd', models.DecimalField(decimal_places=6, max_digits=14)),
                ('why', models.CharField(max_length=300)),
                ('at', models.DateTimeField()),
                ('budget', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='moves', to='spend.budget')),
                ('who', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'ordering': ('at', 'pk'),
                'indexes': [models.Index(fields=['budget', 'at'], name='spend_money_budget__515716_idx')],
            },
        ),
        migrations.CreateModel(
            name='PersonTotal',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('compute', 'Machines'), ('disk', 'Disks'), ('snapshot', 'Snapshots'), ('address', 'Addresses'), ('correction', 'Corrections')], max_length=10)),
                ('seconds', models.PositiveBigIntegerField(default=0)),
                ('amount_usd', models.DecimalField(decimal_places=6, default=Decimal('0'), max_digits=14)),
                ('idle_seconds', models.PositiveBigIntegerField(default=0)),
                ('idle_usd', models.DecimalField(decimal_places=6, default=Decimal('0'), max_digits=14)),
                ('course', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='person_totals', to='courses.course')),
                ('enrollment', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='totals', to='courses.enrollment')),
                ('team', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='person_totals', to='courses.team')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('enrollment', 'kind', 'team'), name='one_total_per_person_team_kind'), models.UniqueConstraint(condition=models.Q(('team', None)), fields=('enrollment', 'kind'), name='one_total_per_person_kind_without_team')],
            },
        ),
        migrations.CreateModel(
            name='PlanPoint',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('day', models.DateField()),
                ('usd', models.DecimalField(decimal_places=6, max_digits=14)),
                ('course', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='plan_points', to='courses.course')),
            ],
            options={
                'ordering': ('day',),
                'constraints': [models.UniqueConstraint(fields=('course', 'day'), name='one_plan_point_per_day'), models.CheckConstraint(condition=models.Q(('usd__gte', 0)), name='plan_not_negative')],
            },
        ),
        migrations.CreateModel(
            name='PriceTag',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('people', models.PositiveIntegerField()),
                ('median_usd', models.DecimalField(decimal_places=6, max_digits=14)),
                ('total_usd', models.DecimalField(decimal_places=6, max_digits=14)),
                ('as_of', models.DateTimeField()),
                ('milestone', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, related_name='price_tag', to='courses.milestone')),
            ],
        ),
        migrations.CreateModel(
            name='ProviderCost',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('source', models.CharField(choices=[('explorer', 'Cost Explorer'), ('export', 'Data export (CUR)')], max_length=10)),
                ('day', models.DateField()),
                ('machine', models.CharField(blank=True, max_length=40)),
                ('kind', models.CharField(max_length=10)),
                ('usage_usd', models.DecimalField(decimal_places=6, default=Decimal('0'), max_digits=14)),
                ('quantity', models.DecimalField(decimal_places=6, default=Decimal('0'), max_digits=18)),
                ('credit_usd', models.DecimalField(decimal_places=6, default=Decimal('0'), max_digits=14)),
                ('refund_usd', models.DecimalField(decimal_places=6, default=Decimal('0'), max_digits=14)),
                ('as_of', models.DateTimeField()),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('source', 'day', 'machine', 'kind'), name='one_provider_cost_per_day')],
            },
        ),
        migrations.CreateModel(
            name='Reconciliation',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('source', models.CharField(choices=[('explorer', 'Cost Explorer'), ('export', 'Data export (CUR)')], max_length=10)),
                ('first', models.DateField()),
                ('last', models.DateField()),
                ('at', models.DateTimeField()),
                ('name', models.CharField(blank=True, max_length=300)),
                ('lines', models.PositiveBigIntegerField(default=0)),
                ('usage_usd', models.DecimalField(decimal_places=6, default=Decimal('0'), max_digits=14)),
                ('credit_usd', models.DecimalField(decimal_places=6, default=Decimal('0'), max_digits=14)),
                ('refund_usd', models.DecimalField(decimal_places=6, default=Decimal('0'), max_digits=14)),
                ('other_usd', models.DecimalField(decimal_places=6, default=Decimal('0'), max_digits=14)),
                ('problem', models.CharField(blank=True, max_length=300)),
                ('who', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'ordering': ('-at', '-pk'),
            },
        ),
    ]
