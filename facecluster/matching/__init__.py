"""Matching: new faces (probes) against the people of a store (the gallery).

index        all vectors of a store as one FAISS index on disk
recognition  which person each stored face is, with names
probe        find and embed the faces of a new photo
stored_photos  the photos of a store by the bytes of their files
gallery      stored faces by person, with a cohort of impostors
posterior    from cosines to the probability that a face is a person, or nobody known
match        one photo against a gallery; two photos against each other
"""
