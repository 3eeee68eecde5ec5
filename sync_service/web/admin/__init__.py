"""The admin pages: find a subscription, see why, press Sync. They read the database and leave requests in it."""
