"""What could not be finished by clicks: unserved queues, places of leavers, unsent letters, unconfirmed lists."""

import logging
from datetime import datetime

from credits import drafts, letters, queue
from credits.models import CodeBatch

logger = logging.getLogger(__name__)


def sweep(now: datetime) -> int:
    """Returns how many places were served. One bad batch stops neither the others nor the mail."""
    served = 0
    for batch in CodeBatch.objects.filter(waits__closed_at=None, waits__isnull=False).distinct():
        try:
            queue.close_lost_places(batch, now)
            served += queue.serve_queue(batch, now)
        except Exception:
            logger.exception("the queue of batch %s failed; the others go on", batch.pk)
    drafts.forget_old(now)
    letters.send_due(now)
    return served
