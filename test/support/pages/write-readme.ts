import { writeFileSync } from 'node:fs';
import { readmeFile, readReadme, withGeneratedParts } from './readme.js';

writeFileSync(readmeFile, withGeneratedParts(readReadme()));
