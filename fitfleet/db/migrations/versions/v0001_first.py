"""The first schema. Until the first release it is made from the metadata; then it is frozen."""

from alembic import op

from fitfleet.db import views
from fitfleet.db.tables import metadata, t_quantiles

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    from scipy import stats

    c = op.get_bind()
    metadata.create_all(c)
    degrees = range(1, 1000)
    rows = [{"df": df, "t975": float(stats.t.ppf(0.975, df))} for df in degrees]
    c.execute(t_quantiles.insert(), rows)
    views.create(c)
