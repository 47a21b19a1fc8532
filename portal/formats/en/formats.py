"""How English pages write dates: the day before the month, 24 hours, nothing to be misread abroad.

Templates and code name these and spell none of their own; each language has them all (a test holds both).
"""

# Django's own names.
DATE_FORMAT = "j M Y"
SHORT_DATE_FORMAT = "j M Y"
MONTH_DAY_FORMAT = "j M"
TIME_FORMAT = "H:i"
DATETIME_FORMAT = "j M Y, H:i"
SHORT_DATETIME_FORMAT = "j M Y, H:i"

# Ours.
LONG_DATE_FORMAT = "j F Y"
LONG_MONTH_DAY_FORMAT = "j F"
WEEKDAY_FORMAT = "D j M"
WEEKDAY_TIME_FORMAT = "D j M, H:i"
WEEKDAY_HOUR_FORMAT = "D j M H:00"
WEEK_TIME_FORMAT = "D H:i"
MONTH_DAY_TIME_FORMAT = "j M H:i"
DATE_TIME_FORMAT = "j M Y H:i"
FULL_FORMAT = "D j M Y H:i:s"
