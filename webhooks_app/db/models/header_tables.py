"""What all requests of an endpoint carry, kept once instead of in each attempt."""

from sqlalchemy import ForeignKey, Integer, Text
from sqlalchemy.orm import Mapped, mapped_column

from webhooks_app.db.models.base import Base


class ConstantHeaders(Base):
    """Headers behind the signature, as the log's JSON has them; a change of the endpoint brings another row.

    Attempts refer to it by the endpoint of their delivery and the digest. It goes with the endpoint, which
    stays as long as the log has a delivery to it.
    """

    __tablename__ = "constant_headers"

    endpoint_id: Mapped[str] = mapped_column(ForeignKey("endpoints.id", ondelete="CASCADE"), primary_key=True)
    # Of the headers: four bytes of a hash, as a signed integer.
    digest: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    headers: Mapped[str] = mapped_column(Text)
