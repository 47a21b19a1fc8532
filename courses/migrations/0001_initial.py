import django.db.models.deletion
import django.db.models.functions.text
import uuid
from django.conf import settings
from django.db import migrations, models

from courses.audit_guard import put_on, take_off


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('auth', '0012_alter_user_first_name_max_length'),
    ]

    operations = [
        migrations.CreateModel(
            name='AuditCursor',
            fields=[
                ('source', models.CharField(max_length=30, primary_key=True, serialize=False)),
                ('upto', models.BigIntegerField(default=0)),
            ],
        ),
        migrations.CreateModel(
            name='AuditHead',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('number', models.BigIntegerField(default=0)),
                ('digest', models.CharField(max_length=64)),
            ],
        ),
        migrations.CreateModel(
            name='User',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('password', models.CharField(max_length=128, verbose_name='password')),
                ('last_login', models.DateTimeField(blank=True, null=True, verbose_name='last login')),
                ('is_superuser', models.BooleanField(default=False, help_text='Designates that this user has all permissions without explicitly assigning them.', verbose_name='superuser status')),
                ('email', models.EmailField(max_length=254, unique=True, verbose_name='e-mail')),
                ('full_name', models.CharField(blank=True, max_length=200, verbose_name='name')),
                ('is_active', models.BooleanField(default=True)),
                ('is_operator', models.BooleanField(default=False, verbose_name='runs this installation')),
                ('date_joined', models.DateTimeField(auto_now_add=True)),
                ('forgotten_at', models.DateTimeField(blank=True, editable=False, null=True)),
                ('groups', models.ManyToManyField(blank=True, help_text='The groups this user belongs to. A user will get all permissions granted to each of their groups.', related_name='user_set', related_query_name='user', to='auth.group', verbose_name='groups')),
                ('user_permissions', models.ManyToManyField(blank=True, help_text='Specific permissions for this user.', related_name='user_set', related_query_name='user', to='auth.permission', verbose_name='user permissions')),
            ],
            options={
                'abstract': False,
            },
        ),
        migrations.CreateModel(
            name='Course',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('slug', models.SlugField(unique=True)),
                ('name', models.CharField(max_length=200)),
                ('term', models.CharField(blank=True, max_length=60)),
                ('timezone', models.CharField(default='UTC', max_length=60)),
                ('starts_on', models.DateField()),
                ('ends_on', models.DateField()),
                ('contact', models.CharField(blank=True, max_length=200, verbose_name='whom to ask')),
                ('email_domain', models.CharField(blank=True, max_length=100)),
                ('team_min', models.PositiveSmallIntegerField(default=3)),
                ('team_max', models.PositiveSmallIntegerField(default=5)),
                ('students_form_teams', models.BooleanField(default=True)),
                ('retention_days', models.PositiveSmallIntegerField(blank=True, default=365, null=True)),
                ('waitlisted_enter', models.BooleanField(default=True)),
                ('dropped_enter', models.BooleanField(default=False)),
                ('auditors_enter', models.BooleanField(default=True)),
                ('alumni_for', models.DurationField(blank=True, null=True)),
                ('setup_done', models.JSONField(blank=True, default=list)),
            ],
            options={
                'constraints': [models.CheckConstraint(condition=models.Q(('team_min__gte', 1), ('team_max__gte', models.F('team_min'))), name='course_team_sizes_in_order')],
            },
        ),
        migrations.CreateModel(
            name='Enrollment',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('email', models.EmailField(max_length=254)),
                ('name', models.CharField(max_length=200)),
                ('role', models.CharField(choices=[('student', 'Student'), ('ta', 'TA'), ('instructor', 'Instructor'), ('sponsor', 'Sponsor'), ('auditor', 'Guest auditor')], default='student', max_length=12)),
                ('status', models.CharField(choices=[('active', 'Active'), ('waitlisted', 'Waitlisted'), ('dropped', 'Dropped')], default='active', max_length=12)),
                ('section', models.CharField(blank=True, max_length=60)),
                ('roster_key', models.CharField(blank=True, max_length=60)),
                ('opaque_id', models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('forgotten_at', models.DateTimeField(blank=True, editable=False, null=True)),
                ('course', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='enrollments', to='courses.course')),
                ('user', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='enrollments', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'ordering': ('name',),
                'constraints': [models.UniqueConstraint(models.F('course'), django.db.models.functions.text.Lower('email'), name='one_roster_line_per_address'), models.UniqueConstraint(condition=models.Q(('user__isnull', False)), fields=('course', 'user'), name='one_enrollment_per_person')],
            },
        ),
        migrations.CreateModel(
            name='AuditNote',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('money', 'Money'), ('decision', 'Decision'), ('code', 'Codes'), ('reveal', 'Code shown'), ('override', 'Override'), ('machine', 'Machine'), ('sign_in', 'Sign-in'), ('look', 'Look at a student'), ('export', 'Export'), ('privacy', 'Privacy')], max_length=10)),
                ('what', models.CharField(max_length=60)),
                ('facts', models.JSONField(default=dict)),
                ('at', models.DateTimeField()),
                ('why', models.TextField(blank=True)),
                ('subject', models.CharField(blank=True, max_length=254)),
                ('address', models.GenericIPAddressField(blank=True, null=True)),
                ('erased_at', models.DateTimeField(blank=True, null=True)),
                ('who', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('course', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='courses.course')),
                ('about', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='courses.enrollment')),
            ],
            options={
                'ordering': ('pk',),
            },
        ),
        migrations.CreateModel(
            name='Milestone',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=120)),
                ('handed_out_on', models.DateField()),
                ('due_on', models.DateField()),
                ('course', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='milestones', to='courses.course')),
            ],
            options={
                'ordering': ('due_on',),
            },
        ),
        migrations.CreateModel(
            name='RosterProfile',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=80)),
                ('columns', models.JSONField()),
                ('roles', models.BooleanField(default=False)),
                ('used_at', models.DateTimeField()),
                ('course', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='roster_profiles', to='courses.course')),
                ('used_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'ordering': ('-used_at', '-pk'),
            },
        ),
        migrations.CreateModel(
            name='Team',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=120)),
                ('closed_at', models.DateTimeField(blank=True, null=True)),
                ('course', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='teams', to='courses.course')),
            ],
            options={
                'ordering': ('name',),
                'constraints': [models.UniqueConstraint(models.F('course'), django.db.models.functions.text.Lower('name'), name='team_name_once_per_course')],
            },
        ),
        migrations.AddField(
            model_name='enrollment',
            name='team',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='members', to='courses.team'),
        ),
        migrations.CreateModel(
            name='CourseEvent',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('imported', 'Roster imported'), ('added', 'Person added'), ('changed', 'Person changed'), ('closed', 'Person closed'), ('reopened', 'Person reopened'), ('team_formed', 'Team formed'), ('team_changed', 'Team changed'), ('team_moved', 'Moved to another team'), ('team_dissolved', 'Team dissolved'), ('preset', 'Preset changed'), ('override', 'Exception for one person'), ('settings', 'Course settings changed'), ('created', 'Course created')], max_length=16)),
                ('why', models.CharField(blank=True, max_length=300)),
                ('facts', models.JSONField(default=dict)),
                ('at', models.DateTimeField()),
                ('course', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='events', to='courses.course')),
                ('who', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('enrollment', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='events', to='courses.enrollment')),
                ('team', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='events', to='courses.team')),
            ],
            options={
                'ordering': ('at', 'pk'),
                'indexes': [models.Index(fields=['course', 'at'], name='courses_cou_course__4cc041_idx'), models.Index(fields=['enrollment', 'at'], name='courses_cou_enrollm_89f4d3_idx')],
            },
        ),
        migrations.CreateModel(
            name='TeamInvitation',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('status', models.CharField(choices=[('open', 'Waiting for an answer'), ('accepted', 'Accepted'), ('declined', 'Declined'), ('withdrawn', 'Taken back'), ('lapsed', 'Lapsed')], default='open', max_length=10)),
                ('at', models.DateTimeField()),
                ('answered_at', models.DateTimeField(blank=True, null=True)),
                ('by', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='courses.enrollment')),
                ('invited', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='team_invitations', to='courses.enrollment')),
                ('team', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='invitations', to='courses.team')),
            ],
            options={
                'ordering': ('-at', '-pk'),
                'constraints': [models.UniqueConstraint(condition=models.Q(('status', 'open')), fields=('team', 'invited'), name='one_open_invitation_per_team_and_person')],
            },
        ),
        migrations.CreateModel(
            name='AuditEntry',
            fields=[
                ('kind', models.CharField(choices=[('money', 'Money'), ('decision', 'Decision'), ('code', 'Codes'), ('reveal', 'Code shown'), ('override', 'Override'), ('machine', 'Machine'), ('sign_in', 'Sign-in'), ('look', 'Look at a student'), ('export', 'Export'), ('privacy', 'Privacy')], max_length=10)),
                ('what', models.CharField(max_length=60)),
                ('facts', models.JSONField(default=dict)),
                ('at', models.DateTimeField()),
                ('why', models.TextField(blank=True)),
                ('subject', models.CharField(blank=True, max_length=254)),
                ('address', models.GenericIPAddressField(blank=True, null=True)),
                ('erased_at', models.DateTimeField(blank=True, null=True)),
                ('number', models.BigIntegerField(primary_key=True, serialize=False)),
                ('source', models.CharField(max_length=30)),
                ('source_pk', models.BigIntegerField()),
                ('recorded_at', models.DateTimeField()),
                ('salt', models.CharField(blank=True, max_length=32)),
                ('sealed', models.CharField(max_length=64)),
                ('digest', models.CharField(max_length=64)),
                ('who', models.ForeignKey(blank=True, db_constraint=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('course', models.ForeignKey(blank=True, db_constraint=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='courses.course')),
                ('about', models.ForeignKey(blank=True, db_constraint=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='courses.enrollment')),
            ],
            options={
                'ordering': ('number',),
                'indexes': [models.Index(fields=['course', '-number'], name='audit_of_course'), models.Index(fields=['about', '-number'], name='audit_about'), models.Index(fields=['who', '-number'], name='audit_by'), models.Index(fields=['kind', '-number'], name='audit_kind'), models.Index(fields=['source', 'recorded_at'], name='audit_source_recorded')],
                'constraints': [models.UniqueConstraint(fields=('source', 'source_pk'), name='each_thing_is_audited_once')],
            },
        ),
        migrations.RunPython(put_on, take_off),
    ]
