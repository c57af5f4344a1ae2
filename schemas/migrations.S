/* The SQL files as strings inside the program, so that `tripmeter migrate` needs no other file. */
    .section .rodata

#define SQL_TEXT(symbol, file)  \
    .global symbol;             \
symbol:                         \
    .incbin file;               \
    .byte 0;

#define MIGRATION(number, name, file) SQL_TEXT(migration_##number, file)
SQL_TEXT(schema_roles, "schemas/roles.sql")
SQL_TEXT(schema_grants, "schemas/grants.sql")
#include "sinks/migrations.def"

    .section .note.GNU-stack, "", %progbits
