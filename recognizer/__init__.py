"""A picture in, aligned and embedded faces out: SCRFD finds, the ArcFace template aligns, a recogniser embeds."""
