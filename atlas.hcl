# For people who use Atlas's command line. The project itself uses Atlas's engine (migrations/generate)
# and needs no command line.
env "local" {
  src = "ent://ent/schema"
  url = getenv("DATABASE_URL")
  dev = "docker://postgres/15/dev?search_path=public"
  migration {
    dir = "file://migrations?format=goose"
  }
}
