"""How Chinese pages write dates: year, month, day; 24 hours. The same names as in English."""

# Django's own names.
DATE_FORMAT = "Y年n月j日"
SHORT_DATE_FORMAT = "Y年n月j日"
MONTH_DAY_FORMAT = "n月j日"
TIME_FORMAT = "H:i"
DATETIME_FORMAT = "Y年n月j日 H:i"
SHORT_DATETIME_FORMAT = "Y年n月j日 H:i"

# Ours.
LONG_DATE_FORMAT = "Y年n月j日"
LONG_MONTH_DAY_FORMAT = "n月j日"
WEEKDAY_FORMAT = "n月j日 D"
WEEKDAY_TIME_FORMAT = "n月j日 D H:i"
WEEKDAY_HOUR_FORMAT = "n月j日 D H:00"
WEEK_TIME_FORMAT = "D H:i"
MONTH_DAY_TIME_FORMAT = "n月j日 H:i"
DATE_TIME_FORMAT = "Y年n月j日 H:i"
FULL_FORMAT = "Y年n月j日 D H:i:s"
