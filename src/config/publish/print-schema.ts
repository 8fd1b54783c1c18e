import { configurationJsonSchemaText } from './json-schema.js';

/** Prints the JSON Schema of the configuration; `npm run schema` puts it into config/rollcall.schema.json. */
process.stdout.write(configurationJsonSchemaText());
