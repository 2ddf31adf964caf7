"""Small texts of one kind, deflated (RFC 1951) with a dictionary of what such texts hold. Pure."""

import zlib

# A window of 4 KiB holds the dictionary; what fills it anew for each text is small at this size, too.
_WINDOW_BITS, _MEMORY_LEVEL = -12, 4


class DamagedStream(Exception):
    """What is stored ends too early or too late, or was never deflated."""


class PresetDeflate:
    """One dictionary, which may never change: rows hold what was packed with it for years."""

    def __init__(self, dictionary: bytes, *, level: int) -> None:
        """Of the dictionary, what comes last costs least to refer to; `level` is zlib's, from 1 to 9."""
        self._dictionary = dictionary
        self._prepared = zlib.compressobj(level, zlib.DEFLATED, _WINDOW_BITS, _MEMORY_LEVEL, zdict=dictionary)

    def pack(self, content: bytes) -> bytes:
        """Return the content deflated."""
        deflating = self._prepared.copy()
        return deflating.compress(content) + deflating.flush()

    def unpack(self, deflated: bytes, *, largest: int = 0) -> bytes:
        """Return all of the content, of `largest` bytes at most if that is not 0. Raises DamagedStream.

        Deflated data have no checksum, but an end: half of them would be half of a document.
        """
        inflating = zlib.decompressobj(_WINDOW_BITS, zdict=self._dictionary)
        try:
            content = inflating.decompress(deflated, largest)
        except zlib.error as error:
            raise DamagedStream from error
        if not inflating.eof or inflating.unused_data:
            raise DamagedStream
        return content
