/**
 * zod as all of this program uses it: schemas are walked through, not compiled to code of their own at their first use.
 * That takes several times as long as the walk itself, and each of our schemas is met first when it matters: at the start
 * of a command, or in the middle of a rollout. Schemas heed it only if it is set before they are made, hence this file.
 */
import { z } from 'zod';

z.config({ jitless: true });

export { z };
