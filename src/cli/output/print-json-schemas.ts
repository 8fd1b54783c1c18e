import { jsonSchemasText } from './json-schemas.js';

/** Prints the shapes of the commands' output; `npm run schema` puts them into config/output.schema.json. */
process.stdout.write(jsonSchemasText());
