package cql;

import ca.uhn.fhir.context.FhirContext;
import ca.uhn.fhir.context.support.DefaultProfileValidationSupport;
import ca.uhn.fhir.parser.IParser;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.*;
import java.util.*;
import org.cqframework.cql.cql2elm.*;
import org.cqframework.cql.cql2elm.model.CompiledLibrary;
import org.hl7.fhir.r4.model.*;
import org.opencds.cqf.fhir.cql.EvaluationSettings;
import org.opencds.cqf.fhir.cr.CrSettings;
import org.opencds.cqf.fhir.cr.plandefinition.PlanDefinitionProcessor;
import org.opencds.cqf.fhir.utility.monad.Eithers;
import org.opencds.cqf.fhir.utility.repository.InMemoryFhirRepository;

public final class Engines {
  public static void main(String[] arguments) throws Exception {
    Path folder = Path.of(arguments[0]);
    FhirContext fhir = FhirContext.forR4Cached();
    fhir.setValidationSupport(new DefaultProfileValidationSupport(fhir));
    IParser json = fhir.newJsonParser();
    PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
    InMemoryFhirRepository repository = new InMemoryFhirRepository(fhir);
    try (var files = Files.newDirectoryStream(folder, "*-*.json")) {
      for (Path file : files) {
        repository.update((Resource) json.parseResource(Files.readString(file)), Map.of());
      }
    }
    EvaluationSettings evaluation = EvaluationSettings.getDefault();
    try (var files = Files.newDirectoryStream(folder.resolve("cql"), "*.cql")) {
      for (Path file : files) {
        LibraryManager manager = new LibraryManager(
            new ModelManager(evaluation.getModelCache()),
            evaluation.getCqlOptions().getCqlCompilerOptions(),
            evaluation.getLibraryCache());
        manager.getLibrarySourceLoader().registerProvider(new StringLibrarySourceProvider(List.of(Files.readString(file))));
        manager.getLibrarySourceLoader().registerProvider(new org.cqframework.cql.cql2elm.quick.FhirLibrarySourceProvider());
        String name = file.getFileName().toString().replace(".cql", "");
        List<CqlCompilerException> faults = new ArrayList<>();
        CompiledLibrary library = manager.resolveLibrary(new org.hl7.elm.r1.VersionedIdentifier().withId(name), faults);
        faults.stream().filter(each -> each.getSeverity() == CqlCompilerException.ErrorSeverity.Error).forEach(each -> System.err.println(each.getLocator() + ": " + each.getMessage()));
        Files.writeString(Path.of(arguments[1], name + ".json"), CqlTranslator.convertToJson(library.getLibrary()));
      }
    }
    var processor = new PlanDefinitionProcessor(repository, CrSettings.getDefault().withEvaluationSettings(evaluation));
    out.println("ready");
    var lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    for (String line = lines.readLine(); line != null; line = lines.readLine()) {
      Parameters job = (Parameters) json.parseResource(line);
      String plan = ((StringType) job.getParameter("plan").getValue()).getValue();
      Bundle record = (Bundle) job.getParameter("record").getResource();
      Parameters given = (Parameters) job.getParameter("given").getResource();
      var made = processor.apply(Eithers.forMiddle3(new IdType("PlanDefinition", plan)), "Patient/p", null, null, null, null, null, null, null, null, given, false, record, null,
          (ca.uhn.fhir.repository.IRepository) null, null, null);
      out.println(json.encodeResourceToString((Resource) made));
    }
  }
}
