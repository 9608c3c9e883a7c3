"""Known people: pictures that the user has of people by name, which give groups these names.

vcard     contacts of a vCard file, with their photos (pure)
sources   a folder, a vCard file or another store -> pictures or vectors, with names
take_in   pictures -> vectors in the store's table `known`, and groups that get names

The pictures stay where they are: the store keeps vectors, the name, and where each came from.
"""

SURE = 0.95  # probability from which a group gets a name without a question
AGAIN = 0.2  # share of that doubt which a further group of the same name may have
ALIKE = 0.1  # probability from which such groups, compared with each other, may be one person
