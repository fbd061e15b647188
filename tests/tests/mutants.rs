//! What mutations of the source have shown to be tested by nothing else.
