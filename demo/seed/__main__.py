"""`python -m demo.seed`: the demo course, unless it is there already."""

import os

import django
from django.utils import timezone


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
    os.environ.setdefault("LAMPLIGHTER_DEMO", "1")
    django.setup()
    from demo.seed.aws import give_credit, make_codes_known  # models exist only now
    from demo.seed.build import seed
    from demo.seed.linked import link_an_account

    spent = seed(timezone.now())
    make_codes_known()
    give_credit(timezone.now())
    link_an_account(timezone.now())
    print("The demo course exists already." if spent is None else f"The demo course is seeded: ${spent:,.2f} spent.")


if __name__ == "__main__":
    main()
