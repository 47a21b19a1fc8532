"""Addresses below /c/<course>/ of what the course and its people spend."""

from django.urls import path

from portal import views_bill, views_money, views_plan, views_spend, views_spend_files

urlpatterns = [
    # A person's own.
    path("money/", views_money.money, name="money"),
    path("money/hours/", views_money.money_rows, name="money_rows"),
    # For the staff.
    path("staff/spend/", views_spend.spend, name="spend"),
    path("staff/spend/by/<slug:what>/", views_spend.spend_by, name="spend_by"),
    path("staff/spend/charges/", views_spend.spend_rows, name="spend_rows"),
    path("staff/spend/files/<slug:table>.<slug:ending>", views_spend_files.spend_export, name="spend_export"),
    path("staff/spend/plan/", views_plan.spend_plan, name="spend_plan"),
    path("staff/spend/report/", views_spend_files.spend_report, name="spend_report"),
    path("staff/spend/report/mail", views_spend_files.spend_report_mail, name="spend_report_mail"),
    path("staff/spend/report/weekly", views_spend_files.spend_report_weekly, name="spend_report_weekly"),
    path("staff/spend/bill/", views_bill.spend_bill, name="spend_bill"),
    path("staff/spend/bill/send", views_bill.bill_send, name="bill_send"),
    path("staff/spend/bill/<int:drift_id>/book", views_bill.bill_book, name="bill_book"),
]
